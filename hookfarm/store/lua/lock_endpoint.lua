-- requires: endpoint_lock
-- constants: BACKFILL_LOCK, BACKFILL_STATE
-- Locks an endpoint for one backfill, so that backfills of an ordered endpoint run one after the other. A running
-- backfill renews its lock; the lock of a killed one expires.
--
-- ARGV 1 endpoint   2 name of the backfill   3 ms until the lock expires
-- Returns the name of the backfill that has the lock. A backfill that is done or removed does not lock: its last call
-- may arrive after its end.
local state = BACKFILL_STATE .. ARGV[2]
if redis.call('EXISTS', state) == 1 and redis.call('HEXISTS', state, 'done_ms') == 0 then
  lock_endpoint(ARGV[1], ARGV[2], ARGV[3])
end
return redis.call('GET', BACKFILL_LOCK .. ARGV[1]) or ARGV[2]
