-- requires: delivery_log_trim
-- constants: ATTEMPTS, ENDPOINT_STATS, LOGGED_ENDPOINTS
-- Removes excess and too old attempts from the log of one endpoint.
--
-- ARGV 1 endpoint   2 ms before which an attempt is too old   3 maximum number of attempts in the log   4 batch size
-- Returns the number of removed attempts; if it is the batch size, there may be more to remove.
local endpoint = ARGV[1]
local key = ATTEMPTS .. endpoint
local excess = math.max(redis.call('XLEN', key) - tonumber(ARGV[3]), 0)

local function is_too_old(entry)
  return tonumber(string.match(entry[1], '^%d+')) < tonumber(ARGV[2])
end

-- Usually the oldest entry stays, and with it all others.
local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
if oldest and excess == 0 and not is_too_old(oldest) then
  return 0
end
local entries = {}
for i, entry in ipairs(redis.call('XRANGE', key, '-', '+', 'COUNT', ARGV[4])) do
  if i > excess and not is_too_old(entry) then
    break
  end
  entries[i] = entry
end
remove_entries(endpoint, entries)
if redis.call('XLEN', key) == 0 then
  redis.call('DEL', key, ENDPOINT_STATS .. endpoint)
  redis.call('SREM', LOGGED_ENDPOINTS, endpoint)
end
return #entries
