-- requires: admission, flush
-- constants: OPERATIONAL_EVENTS
-- The oldest operational event -> a job for each endpoint that subscribes to it.
-- Removes first, so it also runs when Redis is full.
--
-- ARGV 1 the event as the caller has read it   then endpoint, id and job for each
-- Returns 'enqueued', or 'stale' if another farm has delivered it meanwhile and nothing was done.
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
