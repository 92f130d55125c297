-- requires: admission, flush
-- constants: JOBS, OPERATIONAL_EVENTS
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
  if redis.call('HSETNX', JOBS, ARGV[i + 1], ARGV[i + 2]) == 1 then
    enqueue_or_park(ARGV[i], ARGV[i + 1], ARGV[i + 2], false)
  end
end
return flush('enqueued')
