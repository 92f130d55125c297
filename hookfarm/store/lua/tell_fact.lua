-- The oldest fact -> a job for each endpoint that is to be told of it.
-- Removes first, so it also runs when Redis is full.
--
-- ARGV 1 the fact as the caller has read it   then endpoint, id and job for each
-- Returns 1, or 0 where another farm has told it meanwhile and nothing was done.
if redis.call('LINDEX', OPERATIONAL_EVENTS, 0) ~= ARGV[1] then
  return 0
end
redis.call('LPOP', OPERATIONAL_EVENTS)
for i = 2, #ARGV, 3 do
  if redis.call('HSETNX', JOBS, ARGV[i + 1], ARGV[i + 2]) == 1 then
    admit(ARGV[i], ARGV[i + 1], ARGV[i + 2], false)
  end
end
return finish(1)
