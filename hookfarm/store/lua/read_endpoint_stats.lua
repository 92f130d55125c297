-- constants: ATTEMPTS, ENDPOINT_STATS
-- Reads the results of endpoints' last attempts (shared/delivery_log.lua), with the length of their logs.
--
-- ARGV endpoints
-- Returns for each: the results, nothing if there are none, and how many attempts its log has.
local found = {}
for i, endpoint in ipairs(ARGV) do
  found[i] = {redis.call('GET', ENDPOINT_STATS .. endpoint), redis.call('XLEN', ATTEMPTS .. endpoint)}
end
return found
