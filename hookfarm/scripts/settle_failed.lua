-- Worker -> retry or dead: an attempt failed.
--
-- KEYS 1 jobs HASH   2 open ZSET   3 retry ZSET   4 dead ZSET
-- ARGV 1 id   2 the sequence under which it was taken   3 the job with this attempt in it
--      4 ms until the next attempt, '' = never: it is dead
-- Returns 1, or 0 where the job was requeued under another sequence meanwhile and nothing was done.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
if ARGV[4] == '' then
  redis.call('ZADD', KEYS[4], string.format('%.0f', now), ARGV[1])
else
  redis.call('ZADD', KEYS[3], string.format('%.0f', now + tonumber(ARGV[4])), ARGV[1])
end
return 1
