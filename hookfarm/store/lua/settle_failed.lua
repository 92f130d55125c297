-- requires: clock, sequence, window, free_window, circuit, admission, state_index, operational_events
-- requires: delivery_log, delivery_log_trim, flush
-- constants: JOBS, OPEN, PARKED
-- Worker -> retry, parked or dead: an attempt failed, or could not even be made.
-- An ordered endpoint's job goes back to the head of what is parked, and its window is blocked until its retry.
--
-- ARGV 1 id   2 the sequence under which it was popped   3 endpoint   4 the job with this attempt in it
--      5 ms until the next attempt, '' = never: it is dead
--      6 the endpoint's health after it: 'unhealthy', 'healthy' or 'unknown'
--      7 ms of nothing but failures after which an endpoint is to be disabled
--      8 attempts the log keeps for one endpoint, 0 = no log   9 number of the attempt   10 status   11 ms it took
-- Returns 'settled'; 'disable_endpoint' if the endpoint is to be disabled; 'stale' if the job was requeued under
-- another sequence meanwhile and nothing was done.
local id, endpoint, health = ARGV[1], ARGV[3], ARGV[6]
if not is_open_as(id, ARGV[2]) then
  return 'stale'
end
redis.call('ZREM', OPEN, id)
redis.call('HSET', JOBS, id, ARGV[4])
local window = window_of(endpoint)
uncount_open(window)
record_result(endpoint, window, health, tonumber(ARGV[11]))
local retry_in_ms = tonumber(ARGV[5])
load_limits(endpoint, window)
if not retry_in_ms then
  add_dead(id, now_ms, ARGV[4])
  record_event('hookfarm.delivery.dead', now_us, endpoint, {delivery = id})
  on_terminal(id)
elseif window.ordered then
  local head = redis.call('ZRANGE', PARKED .. endpoint, 0, 0, 'WITHSCORES')[2]
  park(endpoint, window, id, string.format('%.3f', math.min(now_us / 1000, (tonumber(head) or now_us) - 1)))
  window.blocked_until_ms = math.max(window.blocked_until_ms, now_ms + retry_in_ms)
  window.changed = true
else
  add_retry(id, now_ms + retry_in_ms, endpoint)
end
local was_attempted, keep = health ~= 'unknown', tonumber(ARGV[8])
local is_failing_too_long = was_attempted and now_ms - window.failing_since_ms >= tonumber(ARGV[7])
if was_attempted and keep > 0 then
  bound_log(endpoint, log_attempt(endpoint, id, ARGV[9], ARGV[10], ARGV[11], 0), keep)
end
return flush(is_failing_too_long and 'disable_endpoint' or 'settled')
