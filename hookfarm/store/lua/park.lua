-- Worker -> parked: a job of an endpoint that is paused. It waits there until the endpoint is enabled.
--
-- ARGV 1 id   2 the sequence under which it was taken   3 endpoint
-- Returns 1, or 0 where the job was requeued under another sequence meanwhile and nothing was done.
if not still_held(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZREM', OPEN, ARGV[1])
local window = window_of(ARGV[3])
leave(window)
park(ARGV[3], window, ARGV[1], digits(now_ms))
return finish(1)
