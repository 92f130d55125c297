-- Worker -> delivery log: the job is done. Idempotent, and right even if it was requeued, failed or buried meanwhile.
-- The log is written first: a full server refuses that, and the rest is done without it.
--
-- This is the script that runs once for every delivery, so the common case comes first and needs nothing shared: a
-- healthy endpoint with enough open jobs left.
--
-- ARGV 1 id   2 endpoint   3 attempts the log keeps for one endpoint, 0 = no log
--      4 the outcome as JSON   5 number of the attempt   6 status   7 ms it took
--@part lately
local id, endpoint, keep, took_ms = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[7])
local job = keep > 0 and redis.call('HGET', JOBS, id)
if job then
  local record = '{"done":' .. ARGV[5] .. ',"outcome":' .. ARGV[4] .. ',' .. string.sub(job, 2)
  local refused = redis.pcall('HSET', DELIVERED, id, record)
  if type(refused) == 'table' and refused.err then
    job = false
  end
end
local length
if job then
  local attempt = id .. ' ' .. ARGV[5] .. ' ' .. ARGV[6] .. ' ' .. ARGV[7]
  redis.call('XADD', ATTEMPTS .. endpoint, '*', 'a', attempt)
  redis.pcall('XADD', ATTEMPTS_ALL, '*', 'a', endpoint .. ' ' .. attempt)
  note_lately(endpoint, took_ms, 1)
  length = redis.call('XLEN', ATTEMPTS .. endpoint)
end
local log_is_bounded = not length or (length > 1 and length <= keep)
local was_open = redis.call('ZREM', OPEN, id) == 1
if was_open then
  redis.call('HDEL', JOBS, id)
  local key = WINDOW .. endpoint
  local open, low = redis.call('HINCRBY', key, 'open', -1), tonumber(redis.call('HGET', key, 'low') or '')
  local healthy = low and open > low and took_ms < SLOW_MS
  if healthy and log_is_bounded and redis.call('HEXISTS', FOLLOW_UPS, id) == 0 then
    return 1
  end
end
--@shared
if was_open then
  learn(endpoint, window_of(endpoint), 'delivered', took_ms)
elseif leave_retry(id, endpoint) + leave_dead(id, redis.call('HGET', JOBS, id))
    + redis.call('ZREM', PARKED .. endpoint, id) > 0 then
  redis.call('HDEL', JOBS, id)
end
over(id)
if length then
  bound_log(endpoint, length, keep)
end
return finish(1)
