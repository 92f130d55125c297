-- constants: ENDPOINT_STATS
-- Results of an endpoint's last attempts, so that its statistics take one short read.
--
--   ENDPOINT_STATS<endpoint> STRING   four bytes an attempt, the latest last: twice its duration in ms, plus one if it
--                                     was delivered. The last MIN_KEPT attempts at least, or all in the log.
local MIN_KEPT = 100

local function add_to_stats(endpoint, duration_ms, delivered)
  local key = ENDPOINT_STATS .. endpoint
  local bytes = redis.call('APPEND', key, struct.pack('>I4', 2 * duration_ms + delivered))
  if bytes >= 8 * MIN_KEPT then
    redis.call('SET', key, redis.call('GETRANGE', key, -4 * MIN_KEPT, -1))
  end
end
