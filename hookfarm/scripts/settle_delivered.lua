-- Worker -> nowhere: the job is done. Idempotent, and right even if it was requeued or failed elsewhere meanwhile.
--
-- KEYS 1 jobs HASH   2 open ZSET   3 retry ZSET
-- ARGV 1 id
if redis.call('ZREM', KEYS[2], ARGV[1]) == 1 or redis.call('ZREM', KEYS[3], ARGV[1]) == 1 then
  redis.call('HDEL', KEYS[1], ARGV[1])
end
return 1
