-- requires: admission, flush
-- constants: OPERATIONAL_EVENTS
-- Replaces the oldest operational event by a job for each endpoint that subscribes to it.
-- The first write removes, so the script also runs when Redis is full.
--
-- ARGV 1 the event as the caller has read it   then endpoint, id and job for each delivery
-- Returns 'enqueued', or 'stale', without any write, if another farm has delivered the event meanwhile.
if redis.call('LINDEX', OPERATIONAL_EVENTS, 0) ~= ARGV[1] then
  return 'stale'
end
redis.call('LPOP', OPERATIONAL_EVENTS)
for i = 2, #ARGV, 3 do
  if enter_ledger(ARGV[i + 1], ARGV[i + 2]) then
    enqueue_or_park(ARGV[i], ARGV[i + 1], false)
  end
end
return flush('enqueued')
