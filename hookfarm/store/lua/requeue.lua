-- requires: clock, sequence, window, admission, state_index, operational_events, flush
-- constants: JOBS, OPEN
-- An orphan -> list under a new sequence, or -> dead if it has cost too many workers.
--
-- ARGV 1 id   2 the sequence under which it was found   3 the job with its count in it   4 'open' or 'dead'
--      5 endpoint
-- Returns 'open' or 'dead', or 'stale' if it was settled or requeued meanwhile and nothing was done.
if not is_open_as(ARGV[1], ARGV[2]) then
  return 'stale'
end
redis.call('ZREM', OPEN, ARGV[1])
redis.call('HSET', JOBS, ARGV[1], ARGV[3])
if ARGV[4] == 'dead' then
  add_dead(ARGV[1], now_ms, ARGV[3])
  record_event('hookfarm.delivery.dead', now_us, ARGV[5], {delivery = ARGV[1]})
  uncount_open(window_of(ARGV[5]), 1)
  on_terminal(ARGV[1])
else
  push(ARGV[1])
end
return flush(ARGV[4])
