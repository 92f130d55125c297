-- Worker -> list: a job that was taken and not attempted to the end, under a new sequence. It keeps its place in the window.
--
-- ARGV 1 id   2 the sequence under which it was taken   3 the job, where something about it has changed
-- Returns 1, or 0 where the job was requeued under another sequence meanwhile and nothing was done.
if not still_held(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZREM', OPEN, ARGV[1])
local job = ARGV[3]
if job then
  redis.call('HSET', JOBS, ARGV[1], job)
else
  job = redis.call('HGET', JOBS, ARGV[1])
end
push({ARGV[1]}, {job})
return finish(1)
