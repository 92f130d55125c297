-- requires: wrong_type
-- constants: OPERATIONAL_EVENTS, OPERATIONAL_SUBSCRIPTIONS
-- Accepts a doubtful block, and records an operational event if an endpoint subscribes to operational events.
--
-- KEYS 1 doubtful blocks HASH   2 accepted blocks HASH
-- ARGV 1 number   2 hash   3 the accepted block as JSON   4 the operational event as JSON
-- Returns 'accepted', or 'changed' without any write if the block of this number is not doubtful or has another hash.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'hash', KEYS[2], 'hash', OPERATIONAL_EVENTS, 'list'})
if wrong then
  return wrong
end
local stored = redis.call('HGET', KEYS[1], ARGV[1])
if not stored or cjson.decode(stored).block_hash ~= ARGV[2] then
  return 'changed'
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[3])
if redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 1 then
  redis.call('RPUSH', OPERATIONAL_EVENTS, ARGV[4])
end
return 'accepted'
