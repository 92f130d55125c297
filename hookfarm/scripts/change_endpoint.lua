-- The registry's only write: one endpoint stored or removed, and the revision that says so.
--
-- KEYS 1 endpoints HASH   2 revision STRING   3 changes ZSET
-- ARGV 1 endpoint id      2 the endpoint as JSON, or '' to remove it
-- Returns the new revision.
local revision = redis.call('INCR', KEYS[2])
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
end
redis.call('ZADD', KEYS[3], revision, ARGV[1])
return revision
