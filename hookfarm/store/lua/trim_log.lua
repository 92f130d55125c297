-- The log of one endpoint without what is too old, or too much.
--
-- ARGV 1 endpoint   2 ms before which an attempt is too old   3 how many attempts may stay   4 how many to look at
-- Returns how many attempts went; as many as were looked at = there may be more.
local endpoint = ARGV[1]
local key = ATTEMPTS .. endpoint
local over = math.max(redis.call('XLEN', key) - tonumber(ARGV[3]), 0)

local function is_too_old(entry)
  return tonumber(string.match(entry[1], '^%d+')) < tonumber(ARGV[2])
end

-- Nearly always nothing is to go, and the oldest says so.
local oldest = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
if oldest and over == 0 and not is_too_old(oldest) then
  return 0
end
local going = {}
for i, entry in ipairs(redis.call('XRANGE', key, '-', '+', 'COUNT', ARGV[4])) do
  if i > over and not is_too_old(entry) then
    break
  end
  going[i] = entry
end
forget_oldest(endpoint, going)
if redis.call('XLEN', key) == 0 then
  redis.call('DEL', key, ENDPOINT_STATS .. endpoint)
  redis.call('SREM', LOGGED_ENDPOINTS, endpoint)
end
return #going
