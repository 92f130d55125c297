-- requires: clock, sequence, window, admission, flush
-- constants: OPEN
-- Worker -> parked: a job of a disabled endpoint. It waits there until the endpoint is enabled.
--
-- ARGV 1 id   2 the sequence under which it was popped   3 endpoint
-- Returns 'settled', or 'stale' if the job was requeued under another sequence meanwhile and nothing was done.
if not is_open_as(ARGV[1], ARGV[2]) then
  return 'stale'
end
redis.call('ZREM', OPEN, ARGV[1])
local window = window_of(ARGV[3])
uncount_open(window)
park(ARGV[3], window, ARGV[1], digits(now_ms))
return flush('settled')
