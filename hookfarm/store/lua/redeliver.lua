-- requires: admission, state_index, flush
-- constants: DELIVERED, JOBS
-- Delivered, dead or retry -> open or parked: a delivery is sent once more.
--
-- ARGV 1 id   2 endpoint   3 the job as it is to be sent   4 its state: 'delivered', 'dead' or 'retry'
--      5 the job as it must be now
-- Returns 'redelivered', or 'changed' if it has another state, or is another one, and nothing was done.
local id, endpoint, job, state = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', JOBS, id) ~= ARGV[5] then
  return 'changed'
end
if state == 'delivered' then
  if redis.call('HDEL', DELIVERED, id) == 0 then
    return 'changed'
  end
elseif (state == 'dead' and remove_dead(id, ARGV[5]) or remove_retry(id, endpoint)) == 0 then
  return 'changed'
end
redis.call('HSET', JOBS, id, job)
enqueue_or_park(endpoint, id, true)
return flush('redelivered')
