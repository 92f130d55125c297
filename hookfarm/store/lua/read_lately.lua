-- What is noted of the last attempts (shared/lately.lua) -> whoever looks at it, with the log's length at that moment.
--
-- ARGV endpoints
-- Returns for each: the notes, nothing where there are none, and how many attempts its log has.
local found = {}
for i, endpoint in ipairs(ARGV) do
  found[i] = {redis.call('GET', ENDPOINT_STATS .. endpoint), redis.call('XLEN', ATTEMPTS .. endpoint)}
end
return found
