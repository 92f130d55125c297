-- Worker -> delivery log: the job is done. Idempotent, and right even if it was requeued, failed or buried meanwhile.
-- The log is written first: a full server refuses that, and the rest is done without it.
--
-- ARGV 1 id   2 endpoint   3 attempts the log keeps for one endpoint, 0 = no log
--      4 the outcome as JSON   5 number of the attempt   6 status   7 ms it took
local id, endpoint, keep = ARGV[1], ARGV[2], tonumber(ARGV[3])
local job = keep > 0 and redis.call('HGET', JOBS, id)
if job then
  local record = done_by(ARGV[5]) .. '"outcome":' .. ARGV[4] .. ',' .. string.sub(job, 2)
  local refused = redis.pcall('HSET', DELIVERED, id, record)
  if type(refused) == 'table' and refused.err then
    job = false
  end
end
if redis.call('ZREM', OPEN, id) == 1 then
  redis.call('HDEL', JOBS, id)
  local window = window_of(endpoint)
  leave(window)
  learn(endpoint, window, 'delivered')
elseif redis.call('ZREM', RETRY, id) + redis.call('ZREM', DEAD, id) + redis.call('ZREM', PARKED .. endpoint, id) > 0 then
  redis.call('HDEL', JOBS, id)
end
if job then
  log_attempt(endpoint, id, ARGV[5], ARGV[6], ARGV[7], keep)
end
return finish(1)
