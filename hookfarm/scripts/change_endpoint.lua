-- The registry's only write: one endpoint stored or removed, and the revision that says so.
--
-- KEYS 1 endpoints HASH   2 revision STRING   3 changes ZSET
-- ARGV 1 endpoint id      2 the endpoint as JSON, or '' to remove it
--      3 the endpoint as it must be now; not given: whatever it is
-- Returns the new revision, or '0' where it was another one and nothing was done.
-- Microseconds, so that a server that was flushed or lost writes does not give out a number twice.
if ARGV[3] and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[3] then
  return '0'
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local revision = string.format('%.0f', math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now))
redis.call('SET', KEYS[2], revision)
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('ZADD', KEYS[3], revision, ARGV[1])
return revision
