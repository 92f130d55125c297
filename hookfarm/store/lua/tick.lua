-- requires: clock, job, pool, window, admission, state_index, flush
-- constants: BACKFILL_QUEUES, JOBS, RETRY, WINDOW_TIMERS
-- Time passes: jobs whose retry is due -> open or parked; windows whose timer is due, and all backfill queues, are
-- looked at again.
--
-- ARGV 1 how many of each at most
-- Returns how many jobs left retry.
local now = digits(now_ms)
local due = redis.call('ZRANGEBYSCORE', RETRY, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local job = redis.call('HGET', JOBS, id)
  local endpoint = job and endpoint_of(job) or ''
  remove_retry(id, endpoint)
  if job then
    enqueue_or_park(endpoint, id, true)
  end
end
local timers = redis.call('ZRANGEBYSCORE', WINDOW_TIMERS, '-inf', now, 'LIMIT', 0, ARGV[1])
if #timers > 0 then
  redis.call('ZREM', WINDOW_TIMERS, unpack(timers))
end
for _, endpoint in ipairs(timers) do
  window_of(endpoint)
end
for _, endpoint in ipairs(all_backfill_queues()) do
  local window = window_of(endpoint)
  if window.queued_backfill == 0 and window.open == 0 then
    redis.call('SREM', BACKFILL_QUEUES, endpoint)
  end
end
open_of_unproven()  -- Read, so that flush wakes the endpoints that wait for the pool.
return flush(#due)
