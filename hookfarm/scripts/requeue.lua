-- An orphan -> list under a new sequence, or -> dead if it has cost too many workers.
--
-- KEYS 1 jobs HASH   2 open ZSET   3 seq STRING   4 list   5 dead ZSET
-- ARGV 1 id   2 the sequence under which it was found   3 the job with its count in it   4 'open' or 'dead'
-- Returns 1, or 0 where it was settled or requeued meanwhile and nothing was done.
local score = redis.call('ZSCORE', KEYS[2], ARGV[1])
if not score or tonumber(score) ~= tonumber(ARGV[2]) then
  return 0
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
if ARGV[4] == 'dead' then
  redis.call('ZADD', KEYS[5], string.format('%.0f', math.floor(now / 1000)), ARGV[1])
  return 1
end
local sequence = math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, now)
local seq = string.format('%.0f', sequence)
redis.call('SET', KEYS[3], seq)
redis.call('ZADD', KEYS[2], seq, ARGV[1])
redis.call('LPUSH', KEYS[4], '{"seq":' .. seq .. ',' .. string.sub(ARGV[3], 2))
return 1
