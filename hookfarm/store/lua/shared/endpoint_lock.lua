-- constants: BACKFILL_LOCK
-- Lock of an ordered endpoint: only one backfill at a time may submit jobs.

-- Takes or renews the lock for `ms`. Returns false if another backfill has it.
local function lock_endpoint(endpoint, name, ms)
  local holder = redis.call('GET', BACKFILL_LOCK .. endpoint)
  if holder and holder ~= name then
    return false
  end
  redis.call('SET', BACKFILL_LOCK .. endpoint, name, 'PX', ms)
  return true
end
