-- requires: sequence
-- constants: JOBS, OPEN
-- Worker -> list: a job whose attempt was not made, or not to its end, under a new sequence. Its window still
-- counts it.
--
-- ARGV 1 id   2 the sequence under which it was popped   3 the job, if something of it has changed
-- Returns 'settled', or 'stale' if the job was requeued under another sequence meanwhile and nothing was done.
if not is_open_as(ARGV[1], ARGV[2]) then
  return 'stale'
end
redis.call('ZREM', OPEN, ARGV[1])
local job = ARGV[3]
if job then
  redis.call('HSET', JOBS, ARGV[1], job)
else
  job = redis.call('HGET', JOBS, ARGV[1])
end
push({ARGV[1]}, {job})
save_sequence()
return 'settled'
