-- requires: admission, state_index, flush
-- constants: DELIVERED, JOBS
-- Redelivers a delivery: opens or parks a delivered, dead or retry job.
--
-- ARGV 1 id   2 endpoint   3 the new job   4 expected state: 'delivered', 'dead' or 'retry'   5 the expected job
-- Returns 'redelivered', or 'changed', without any effect, if the state or the job is not the expected one.
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
