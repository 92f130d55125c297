-- requires: clock
-- constants: PROVEN, UNPROVEN
-- Pool: the open jobs of unproven endpoints (new, failing or slow). Its maximum is half of the capacity; the other half
-- is left to proven endpoints.
--
--   PROVEN SET          endpoints whose last attempt, refusals aside, succeeded in less than SLOW_MS
--   UNPROVEN HASH       unproven endpoint -> number of its open jobs; '*' -> sum of all
--   POOL_WAITING ZSET   endpoint whose parked jobs wait for room in the pool -> sequence at which its wait began
local unproven_open, unproven_added = nil, 0

-- Returns the number of open jobs of unproven endpoints.
local function open_of_unproven()
  unproven_open = unproven_open or to_number(redis.call('HGET', UNPROVEN, '*'))
  return unproven_open + unproven_added
end

local function count_unproven(added)
  unproven_added = unproven_added + added
end

local function mark_proven(endpoint, window, is_proven)
  if window.is_proven ~= is_proven then
    window.is_proven, window.changed = is_proven, true
    count_unproven(is_proven and -window.open or window.open)
    redis.call(is_proven and 'SADD' or 'SREM', PROVEN, endpoint)
  end
end

local function save_unproven(endpoint, window)
  local open = window.is_proven and 0 or window.open
  local added = open - window.unproven_stored
  if added == 0 then
    return
  end
  open_of_unproven()  -- Read the stored sum before this script changes it.
  if open > 0 then
    redis.call('HSET', UNPROVEN, endpoint, open)
  else
    redis.call('HDEL', UNPROVEN, endpoint)
  end
  redis.call('HINCRBY', UNPROVEN, '*', added)
  window.unproven_stored = open
end
