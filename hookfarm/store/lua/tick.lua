-- requires: clock, job, pool, window, admission, state_index, flush
-- constants: BACKFILL_QUEUES, JOBS, RETRY, WINDOW_TIMERS
-- Opens or parks jobs whose retry is due, fills windows whose timer is due, and drains backfill queues.
--
-- ARGV 1 maximum number of jobs, and of windows
-- Returns the number of jobs that left retry.
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
open_of_unproven()  -- Reads the pool, so that flush fills windows that wait for it.
return flush(#due)
