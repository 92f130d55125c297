-- An orphan -> list under a new sequence, or -> dead if it has cost too many workers.
--
-- ARGV 1 id   2 the sequence under which it was found   3 the job with its count in it   4 'open' or 'dead'
--      5 endpoint
-- Returns 1, or 0 where it was settled or requeued meanwhile and nothing was done.
if not still_held(ARGV[1], ARGV[2]) then
  return 0
end
redis.call('ZREM', OPEN, ARGV[1])
redis.call('HSET', JOBS, ARGV[1], ARGV[3])
if ARGV[4] == 'dead' then
  enter_dead(ARGV[1], now_ms, ARGV[3])
  note_fact('hookfarm.delivery.dead', now_us, ARGV[5], {delivery = ARGV[1]})
  leave(window_of(ARGV[5]))
  over(ARGV[1])
else
  push({ARGV[1]}, {ARGV[3]})
end
return finish(1)
