-- Worker -> nowhere: the job is done. Idempotent, and right even if it was requeued, failed or buried meanwhile.
--
-- KEYS 1 jobs HASH   2 open ZSET   3 retry ZSET   4 dead ZSET
-- ARGV 1 id
for place = 2, 4 do
  if redis.call('ZREM', KEYS[place], ARGV[1]) == 1 then
    redis.call('HDEL', KEYS[1], ARGV[1])
    return 1
  end
end
return 1
