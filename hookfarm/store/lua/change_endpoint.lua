-- requires: clock, operational_events
-- constants: BACKFILLS, BACKFILL_JOBS, BACKFILL_LOCK, BACKFILL_QUEUE, BACKFILL_STATE, DISABLED_ENDPOINTS
-- constants: ENDPOINT_LIMITS, FOLLOW_UPS, OPEN_CIRCUITS, OPERATIONAL_SUBSCRIPTIONS, PARKED, PROVEN, REGISTRY_CREATED
-- constants: TRANSFERS, TRANSFER_CHAINS, WINDOW, WINDOW_TIMERS
-- Stores or removes an endpoint, with the new revision of the registry and the limits of its window. All writes to the
-- registry use this script.
-- A change resets the failures of the window and fills it: a repaired URL is tried at once.
-- The removal of an endpoint also removes its backfill queue and the states of its backfills.
--
-- KEYS 1 endpoints HASH   2 revision STRING   3 changes ZSET   then the checkpoint of each chain it subscribes to
-- ARGV 1 endpoint id      2 endpoint as JSON, or '' to remove it
--      3 limits, 'disabled max_in_flight rate ordered', or '' = none
--      4 chains whose transfers it wants, separated by spaces
--      5 expected current endpoint; optional
-- Returns {'conflict'}, without any write, if the current endpoint is not the expected one. Otherwise returns 'changed'
-- and the block of each checkpoint, '' = unreadable. Events of later blocks enter their stream after the change.
if ARGV[5] and redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[5] then
  return {'conflict'}
end
-- publish.lua checks this set: from now on, blocks are published with the chain's transfers.
for chain in string.gmatch(redis.call('HGET', TRANSFER_CHAINS, ARGV[1]) or '', '%d+') do
  redis.call('SREM', TRANSFERS .. chain, ARGV[1])
end
redis.call('HDEL', TRANSFER_CHAINS, ARGV[1])
for chain in string.gmatch(ARGV[4], '%d+') do
  redis.call('SADD', TRANSFERS .. chain, ARGV[1])
  redis.call('HSET', TRANSFER_CHAINS, ARGV[1], ARGV[4])
end

local function remove_backfills(endpoint)
  for _, id in ipairs(redis.call('ZRANGE', BACKFILL_QUEUE .. endpoint, 0, -1)) do
    redis.call('HDEL', BACKFILL_JOBS, id)
    redis.call('HDEL', FOLLOW_UPS, id)
  end
  redis.call('DEL', BACKFILL_QUEUE .. endpoint, BACKFILL_LOCK .. endpoint)
  for _, name in ipairs(redis.call('ZRANGE', BACKFILLS, 0, -1)) do
    if string.sub(name, 1, #endpoint + 1) == endpoint .. ':' then
      redis.call('ZREM', BACKFILLS, name)
      redis.call('DEL', BACKFILL_STATE .. name)
    end
  end
end

local existed = redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1
-- A revision is a time in microseconds: it stays unique if the server was flushed or has lost writes.
local revision = digits(math.max(tonumber(redis.call('GET', KEYS[2]) or '0') + 1, now_us))
redis.call('SET', KEYS[2], revision)
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  remove_backfills(ARGV[1])
  redis.call('ZREM', REGISTRY_CREATED, ARGV[1])
  redis.call('SREM', PROVEN, ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
  redis.call('ZADD', REGISTRY_CREATED, 'NX', revision, ARGV[1])
end
redis.call('ZADD', KEYS[3], revision, ARGV[1])
if ARGV[3] == '' then
  redis.call('HDEL', ENDPOINT_LIMITS, ARGV[1])
else
  redis.call('HSET', ENDPOINT_LIMITS, ARGV[1], ARGV[3])
end
local disabled = string.sub(ARGV[3], 1, 2) == '1 '
if redis.call(disabled and 'SADD' or 'SREM', DISABLED_ENDPOINTS, ARGV[1]) == 1 and disabled and existed then
  local reason = string.match(ARGV[2], '"disabled_reason":"([^"\\]*)"')
  record_event('hookfarm.endpoint.disabled', now_us, ARGV[1], {reason = reason or cjson.null})
end
redis.call('HDEL', WINDOW .. ARGV[1], 'failures', 'failing_since_ms', 'probe_pause_ms', 'blocked_until_ms',
           'fast_path_floor')
if redis.call('ZREM', OPEN_CIRCUITS, ARGV[1]) == 1 and ARGV[2] ~= '' then
  record_event('hookfarm.endpoint.circuit_closed', now_us, ARGV[1], {})
end
local operational = {}
if not disabled and string.find(ARGV[2], '"kind":"operational"', 1, true) then
  for _, subscription in ipairs(cjson.decode(ARGV[2]).subscriptions) do
    if subscription.kind == 'operational' then
      operational[#operational + 1] = {id = subscription.id, events = subscription.events}
    end
  end
end
if #operational > 0 then
  redis.call('HSET', OPERATIONAL_SUBSCRIPTIONS, ARGV[1], cjson.encode(operational))
else
  redis.call('HDEL', OPERATIONAL_SUBSCRIPTIONS, ARGV[1])
end
if redis.call('EXISTS', PARKED .. ARGV[1]) == 1 then
  redis.call('ZADD', WINDOW_TIMERS, digits(now_ms), ARGV[1])
elseif redis.call('HGET', WINDOW .. ARGV[1], 'open') == '0' then
  redis.call('DEL', WINDOW .. ARGV[1])
end
local answer = {'changed'}
for i = 4, #KEYS do
  local stored = redis.pcall('GET', KEYS[i])
  local number = type(stored) == 'string' and string.match(stored, '^(%d+):') or ''
  answer[#answer + 1] = #number <= 20 and number or ''
end
return answer
