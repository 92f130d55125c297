-- Put in front of the scripts of backfills.
-- Whether the endpoint is this backfill's, for so many ms from now on; not while it is another one's.
local function hold(endpoint, name, ms)
  local holder = redis.call('GET', BACKFILL_LOCK .. endpoint)
  if holder and holder ~= name then
    return false
  end
  redis.call('SET', BACKFILL_LOCK .. endpoint, name, 'PX', ms)
  return true
end
