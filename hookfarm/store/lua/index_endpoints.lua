-- Endpoints that are in the registry and not in its order, into it: before all others, as they came there before
-- there was an order, or past it. And out of it, those that are not in the registry.
--
-- KEYS 1 endpoints HASH   2 created ZSET
-- Returns how many endpoints there are.
local LAST_WITHOUT_A_TIME = 1000000000
local newest = redis.call('ZREVRANGEBYSCORE', KEYS[2], LAST_WITHOUT_A_TIME, '-inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
local place = tonumber(newest or '0')
local ids = redis.call('HKEYS', KEYS[1])
table.sort(ids)
for _, id in ipairs(ids) do
  if not redis.call('ZSCORE', KEYS[2], id) then
    place = place + 1
    redis.call('ZADD', KEYS[2], place, id)
  end
end
if redis.call('ZCARD', KEYS[2]) > #ids then
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    if redis.call('HEXISTS', KEYS[1], id) == 0 then
      redis.call('ZREM', KEYS[2], id)
    end
  end
end
return #ids
