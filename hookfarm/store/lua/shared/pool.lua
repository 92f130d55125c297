-- requires: clock
-- constants: PROVEN, UNPROVEN
-- The pool: the open jobs of unproven endpoints, which are new, failing or slow. While they are half of the capacity or
-- more, no other job of such an endpoint opens; so the other half is left to the proven ones.
--
--   PROVEN SET          endpoints whose last attempt, refusals aside, succeeded in less than SLOW_MS
--   UNPROVEN HASH       endpoint that is not proven -> its open jobs; '*' -> their sum
--   POOL_WAITING ZSET   endpoint with parked jobs, for which there was no room -> the sequence since when it waits
local unproven_open, unproven_added = nil, 0

-- The number of open jobs of unproven endpoints.
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
  open_of_unproven()  -- Its stored part is read before this script changes it.
  if open > 0 then
    redis.call('HSET', UNPROVEN, endpoint, open)
  else
    redis.call('HDEL', UNPROVEN, endpoint)
  end
  redis.call('HINCRBY', UNPROVEN, '*', added)
  window.unproven_stored = open
end
