-- Worker -> list: a job that was taken and not attempted, under a new sequence. It keeps its place in the window.
--
-- ARGV 1 id   2 the sequence under which it was taken
-- Returns 1, or 0 where the job was requeued under another sequence meanwhile and nothing was done.
if not still_held(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZREM', OPEN, ARGV[1])
push(ARGV[1], redis.call('HGET', JOBS, ARGV[1]))
return finish(1)
