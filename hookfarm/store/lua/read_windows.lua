-- Windows -> whoever looks at them: many at one moment, for a quarter of the CPU time that the
-- same commands one by one cost the client.
--
-- ARGV endpoints
-- Returns for each: open, limit, failures, since, wait, as the window has them, and how many jobs are parked.
local found = {}
for i, endpoint in ipairs(ARGV) do
  local window = redis.call('HMGET', WINDOW .. endpoint, 'open', 'limit', 'failures', 'since', 'wait')
  window[6] = redis.call('ZCARD', PARKED .. endpoint)
  found[i] = window
end
return found
