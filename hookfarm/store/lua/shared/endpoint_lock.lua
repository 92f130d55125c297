-- constants: BACKFILL_LOCK
-- An ordered endpoint has one backfill at a time: the one that has locked it.

-- Returns whether this backfill has the lock, for so many ms from now on; false while another one has it.
local function lock_endpoint(endpoint, name, ms)
  local holder = redis.call('GET', BACKFILL_LOCK .. endpoint)
  if holder and holder ~= name then
    return false
  end
  redis.call('SET', BACKFILL_LOCK .. endpoint, name, 'PX', ms)
  return true
end
