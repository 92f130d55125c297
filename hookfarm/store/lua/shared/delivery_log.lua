-- constants: ATTEMPTS, ATTEMPTS_ALL, ENDPOINT_STATS
-- The delivery log: every attempt, and every delivered job.
--
--   ATTEMPTS<endpoint> STREAM   one entry an attempt: a = 'delivery number status ms'; the status is that of HTTP or an
--                               error's name. One field, because four would cost each delivery 3 us more.
--   ATTEMPTS_ALL STREAM         a = 'endpoint delivery number status ms', of all endpoints. It is trimmed as a whole;
--                               if it can't be written, no delivery waits for that.
--   ENDPOINT_STATS<endpoint> STRING   results of the last attempts, so that statistics take one short read: four bytes
--                               an attempt, the latest last: twice its duration in ms, plus one if it was delivered.
--                               The last STATS_ATTEMPTS at least, or all in the log.
--   DELIVERED HASH              delivery -> its job (job.lua) with the attempt that succeeded and its outcome in front:
--                               DONE .. number .. ',"outcome":' .. outcome .. ',' .. job without its first brace
--   LOGGED_ENDPOINTS SET        the endpoints that have a log
--
-- settle_delivered loads this part for every delivery: a second function here would cost as much as one command.
local STATS_ATTEMPTS = 100
local DONE = '{"done":'

-- `delivered` is 1 or 0. Returns how many attempts the endpoint's log has now.
local function log_attempt(endpoint, id, number, status, duration_ms, delivered)
  local log, stats = ATTEMPTS .. endpoint, ENDPOINT_STATS .. endpoint
  local attempt = id .. ' ' .. number .. ' ' .. status .. ' ' .. duration_ms
  redis.call('XADD', log, '*', 'a', attempt)
  redis.pcall('XADD', ATTEMPTS_ALL, '*', 'a', endpoint .. ' ' .. attempt)
  local bytes = redis.call('APPEND', stats, struct.pack('>I4', 2 * duration_ms + delivered))
  if bytes >= 8 * STATS_ATTEMPTS then
    redis.call('SET', stats, redis.call('GETRANGE', stats, -4 * STATS_ATTEMPTS, -1))
  end
  return redis.call('XLEN', log)
end
