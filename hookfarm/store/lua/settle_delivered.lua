-- requires: delivery_log
-- constants: DELIVERED, FOLLOW_UPS, JOBS, OPEN, PARKED, SLOW_MS, WINDOW
-- Worker -> delivery log: the job is done. Idempotent, and right even if it was requeued, failed or died meanwhile.
-- The log is written first: a full server refuses that, and the rest is done without it.
--
-- This script runs once for every delivery, so it begins with a fast path for the common case: a healthy endpoint with
-- enough open jobs left. Only what is not settled there loads what the rest requires.
--
-- ARGV 1 id   2 endpoint   3 attempts the log keeps for one endpoint, 0 = no log
--      4 the outcome as JSON   5 number of the attempt   6 status   7 ms it took
-- Returns 'settled'.
local id, endpoint, keep, duration_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[7])
local job = keep > 0 and redis.call('HGET', JOBS, id)
if job then
  local record = DONE .. ARGV[5] .. ',"outcome":' .. ARGV[4] .. ',' .. string.sub(job, 2)
  local refused = redis.pcall('HSET', DELIVERED, id, record)
  if type(refused) == 'table' and refused.err then
    job = false
  end
end
local log_length = job and log_attempt(endpoint, id, ARGV[5], ARGV[6], ARGV[7], 1)
local log_is_bounded = not log_length or (log_length > 1 and log_length <= keep)
local was_open = redis.call('ZREM', OPEN, id) == 1
if was_open then
  redis.call('HDEL', JOBS, id)
  local key = WINDOW .. endpoint
  local open = redis.call('HINCRBY', key, 'open', -1)
  local floor = tonumber(redis.call('HGET', key, 'fast_path_floor') or '')
  local is_healthy = floor and open > floor and duration_ms < SLOW_MS
  if is_healthy and log_is_bounded and redis.call('HEXISTS', FOLLOW_UPS, id) == 0 then
    return 'settled'
  end
end
-- requires from here: window, circuit, admission, state_index, delivery_log_trim, flush
if was_open then
  record_result(endpoint, window_of(endpoint), 'delivered', duration_ms)
elseif remove_retry(id, endpoint) + remove_dead(id, redis.call('HGET', JOBS, id))
    + redis.call('ZREM', PARKED .. endpoint, id) > 0 then
  redis.call('HDEL', JOBS, id)
end
on_terminal(id)
if log_length then
  bound_log(endpoint, log_length, keep)
end
return flush('settled')
