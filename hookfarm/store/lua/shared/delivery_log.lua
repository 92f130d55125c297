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
--   DELIVERED HASH              delivery -> the attempt that succeeded: {"done":<number>,"outcome":{…}}. Its job stays
--                               in JOBS until both are trimmed.
--   LOGGED_ENDPOINTS SET        the endpoints that have a log
--
-- settle.lua loads this part for every batch, before its fast path.
local STATS_ATTEMPTS = 100
local DONE = '{"done":'

-- `attempts` are {id, number, status, ms} each; `delivered` is 1 or 0. Returns how many attempts the endpoint's log had
-- `before` and has `now`. An endpoint's log that can't be written holds up no delivery.
local function log_attempts(endpoint, attempts, delivered)
  local log, stats, results = ATTEMPTS .. endpoint, ENDPOINT_STATS .. endpoint, {}
  for i, attempt in ipairs(attempts) do
    local line = table.concat(attempt, ' ')
    redis.pcall('XADD', log, '*', 'a', line)
    redis.pcall('XADD', ATTEMPTS_ALL, '*', 'a', endpoint .. ' ' .. line)
    results[i] = struct.pack('>I4', 2 * attempt[4] + delivered)
  end
  local bytes = redis.pcall('APPEND', stats, table.concat(results))
  if type(bytes) == 'number' and bytes >= 8 * STATS_ATTEMPTS then
    redis.call('SET', stats, redis.call('GETRANGE', stats, -4 * STATS_ATTEMPTS, -1))
  end
  local length = redis.pcall('XLEN', log)
  if type(length) ~= 'number' then
    return {before = 1, now = 1}
  end
  return {before = length - #attempts, now = length}
end
