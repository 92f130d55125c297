-- constants: PARKED, WINDOW
-- Reads many windows at once. Single commands would cost the client four times the CPU time.
--
-- ARGV endpoints
-- Returns for each endpoint: open, limit, failures, failing_since_ms, blocked_until_ms, and the number of parked jobs.
local found = {}
for i, endpoint in ipairs(ARGV) do
  local window = redis.call('HMGET', WINDOW .. endpoint, 'open', 'limit', 'failures', 'failing_since_ms',
                            'blocked_until_ms')
  window[6] = redis.call('ZCARD', PARKED .. endpoint)
  found[i] = window
end
return found
