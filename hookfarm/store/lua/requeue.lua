-- requires: clock, sequence, window, admission, state_index, operational_events, flush
-- constants: JOBS, OPEN
-- Requeues an orphan with a new sequence, or makes it a dead letter.
--
-- ARGV 1 id   2 its sequence   3 the job with the new count of lost workers   4 'open' or 'dead'   5 endpoint
-- Returns 'open' or 'dead', or 'stale', without any write, if the job was settled or requeued meanwhile.
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
