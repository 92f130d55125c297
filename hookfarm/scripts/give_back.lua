-- Worker -> list: a job that was taken and not attempted, under a new sequence.
--
-- KEYS 1 jobs HASH   2 open ZSET   3 seq STRING   4 list
-- ARGV 1 id   2 the sequence under which it was taken
-- Returns 1, or 0 where the job was requeued under another sequence meanwhile and nothing was done.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local sequence = math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, now)
local seq = string.format('%.0f', sequence)
redis.call('SET', KEYS[3], seq)
redis.call('ZADD', KEYS[2], seq, ARGV[1])
redis.call('LPUSH', KEYS[4], '{"seq":' .. seq .. ',' .. string.sub(redis.call('HGET', KEYS[1], ARGV[1]), 2))
return 1
