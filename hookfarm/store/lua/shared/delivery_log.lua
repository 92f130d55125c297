-- requires: endpoint_stats
-- constants: ATTEMPTS, ATTEMPTS_ALL
-- The delivery log: every attempt, and every delivered job.
--
--   ATTEMPTS<endpoint> STREAM   one entry an attempt: a = 'delivery number status ms'; the status is that of HTTP or an
--                               error's name. One field, because four would cost each delivery 3 us more.
--   ATTEMPTS_ALL STREAM         a = 'endpoint delivery number status ms', of all endpoints. It is trimmed as a whole;
--                               if it can't be written, no delivery waits for that.
--   DELIVERED HASH              delivery -> its job (job.lua) with '{"done":N,"outcome":{…},' in front: the attempt
--                               that succeeded and its outcome
--   LOGGED_ENDPOINTS SET        the endpoints that have a log

local function done_prefix(attempt)
  return '{"done":' .. attempt .. ','
end

local function delivered_record(job, attempt, outcome)
  return done_prefix(attempt) .. '"outcome":' .. outcome .. ',' .. string.sub(job, 2)
end

-- `delivered` is 1 or 0. Returns how many attempts the endpoint's log has now.
local function log_attempt(endpoint, id, number, status, duration_ms, delivered)
  local attempt = id .. ' ' .. number .. ' ' .. status .. ' ' .. duration_ms
  redis.call('XADD', ATTEMPTS .. endpoint, '*', 'a', attempt)
  redis.pcall('XADD', ATTEMPTS_ALL, '*', 'a', endpoint .. ' ' .. attempt)
  add_to_stats(endpoint, tonumber(duration_ms), delivered)
  return redis.call('XLEN', ATTEMPTS .. endpoint)
end
