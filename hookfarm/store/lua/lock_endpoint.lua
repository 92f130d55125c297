-- requires: endpoint_lock
-- constants: BACKFILL_LOCK, BACKFILL_STATE
-- Locks an endpoint for one backfill, so that those of an ordered endpoint go one after the other. A running backfill
-- calls it again and again; after a kill the lock expires.
--
-- ARGV 1 endpoint   2 name of the backfill   3 for how many ms
-- Returns the name of another backfill that has the lock, else its own. A backfill that is done or removed does not
-- lock: its last heartbeat may come after its end.
local state = BACKFILL_STATE .. ARGV[2]
if redis.call('EXISTS', state) == 1 and redis.call('HEXISTS', state, 'done_ms') == 0 then
  lock_endpoint(ARGV[1], ARGV[2], ARGV[3])
end
return redis.call('GET', BACKFILL_LOCK .. ARGV[1]) or ARGV[2]
