-- A person -> open or parked: a delivery that is over, or waits for its retry, is sent once more.
--
-- ARGV 1 id   2 endpoint   3 the job as it is to be sent   4 where it must be: 'delivered', 'dead' or 'retry'
--      5 the job, or the record of the delivery, as it must be now
-- Returns 1, or 0 where it is not there, or another one, and nothing was done.
local id, endpoint, job, place = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', place == 'delivered' and DELIVERED or JOBS, id) ~= ARGV[5] then
  return 0
end
if place == 'delivered' then
  if redis.call('HEXISTS', JOBS, id) == 1 then
    return 0
  end
  redis.call('HDEL', DELIVERED, id)
elseif (place == 'dead' and leave_dead(id, ARGV[5]) or leave_retry(id, endpoint)) == 0 then
  return 0
end
redis.call('HSET', JOBS, id, job)
admit(endpoint, id, job, true)
return finish(1)
