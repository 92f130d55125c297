-- constants: ATTEMPTS, ATTEMPTS_ALL, ENDPOINT_STATS
-- Delivery log: all attempts and delivered jobs.
--
--   ATTEMPTS<endpoint> STREAM   one entry per attempt: a = 'delivery number status ms'. The status is the HTTP status
--                               or the kind of the transport error. Four fields would cost each delivery 3 us more.
--   ATTEMPTS_ALL STREAM         entries of all endpoints: a = 'endpoint delivery number status ms'. Trimmed as a whole.
--   ENDPOINT_STATS<endpoint> STRING   results of the last attempts, for statistics with one short read. Four bytes per
--                               attempt, the latest last: twice the duration in ms, plus one if it was delivered.
--                               It has at least the last STATS_ATTEMPTS attempts, or all in the log.
--   DELIVERED HASH              delivery -> its successful attempt, {"done":<number>,"outcome":{…}}. The job stays in
--                               JOBS until both are trimmed.
--   LOGGED_ENDPOINTS SET        endpoints with a log
--
-- Deliveries continue if a key of the log can't be written.
-- settle.lua loads this part for every batch, before its fast path.
local STATS_ATTEMPTS = 100
local DONE = '{"done":'

-- Logs attempts, each {id, number, status, ms}; `delivered` is 1 or 0. Returns the length of the endpoint's log as
-- {before, now}.
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
