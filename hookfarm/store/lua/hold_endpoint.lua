-- One backfill of an endpoint holds it, so that those of an endpoint with an order go one after the other. It does so
-- again and again while it runs; killed, it holds it no longer once that time is over.
--
-- ARGV 1 endpoint   2 name of the backfill   3 for how many ms
-- Returns the name of another backfill that holds it, else its own. One that is done, or removed, takes nothing: its
-- last sign of life may come after its end.
local state = BACKFILL_STATE .. ARGV[2]
if redis.call('EXISTS', state) == 1 and redis.call('HEXISTS', state, 'done_ms') == 0 then
  hold(ARGV[1], ARGV[2], ARGV[3])
end
return redis.call('GET', BACKFILL_LOCK .. ARGV[1]) or ARGV[2]
