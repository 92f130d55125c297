-- Retry -> open or parked: the jobs whose time has come. And the windows whose time has come are looked at again, and
-- all lanes.
--
-- ARGV 1 how many of each at most
-- Returns how many jobs left retry.
local now = digits(now_ms)
local due = redis.call('ZRANGEBYSCORE', RETRY, '-inf', now, 'LIMIT', 0, ARGV[1])
for _, id in ipairs(due) do
  local job = redis.call('HGET', JOBS, id)
  leave_retry(id, job and owner_of(job) or '')
  if job then
    admit(endpoint_of(job) or '', id, job, true)
  end
end
local awake = redis.call('ZRANGEBYSCORE', WINDOW_TIMERS, '-inf', now, 'LIMIT', 0, ARGV[1])
if #awake > 0 then
  redis.call('ZREM', WINDOW_TIMERS, unpack(awake))
end
for _, endpoint in ipairs(awake) do
  window_of(endpoint)
end
for _, endpoint in ipairs(all_lanes()) do
  local window = window_of(endpoint)
  if window.lane == 0 and window.open == 0 then
    redis.call('SREM', BACKFILL_QUEUES, endpoint)
  end
end
return finish(#due)
