-- constants: ATTEMPTS, ENDPOINT_STATS
-- Reads the results of endpoints' last attempts (see shared/delivery_log.lua) and the lengths of their logs.
--
-- ARGV endpoints
-- Returns for each endpoint: the results (nil = no attempts) and the number of attempts in its log.
local found = {}
for i, endpoint in ipairs(ARGV) do
  found[i] = {redis.call('GET', ENDPOINT_STATS .. endpoint), redis.call('XLEN', ATTEMPTS .. endpoint)}
end
return found
