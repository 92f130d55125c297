-- Where an attempt is logged: what came of an endpoint's last attempts, so that showing it takes one short read.
--
--   ENDPOINT_STATS<endpoint> STRING   four bytes an attempt, the latest last: twice the ms it took, and one where it was
--                             delivered. At least the last LATELY_KEPT, or all that the log has ever had.
local LATELY_KEPT = 100

local function note_lately(endpoint, took_ms, delivered)
  local key = ENDPOINT_STATS .. endpoint
  local bytes = redis.call('APPEND', key, struct.pack('>I4', 2 * took_ms + delivered))
  if bytes >= 8 * LATELY_KEPT then
    redis.call('SET', key, redis.call('GETRANGE', key, -4 * LATELY_KEPT, -1))
  end
end

