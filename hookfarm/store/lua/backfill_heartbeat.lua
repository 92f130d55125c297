-- requires: clock
-- constants: BACKFILLS
-- A running backfill's heartbeat, with its speed, or the reason why it makes no progress.
--
-- KEYS 1 state of the backfill HASH
-- ARGV 1 name of the backfill   2 blocks per second, '' = not known yet   3 reason, '' = it makes progress
-- Returns 'recorded', or 'ended' if it is done or removed: its last heartbeat may come after its end.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'done_ms') == 1 then
  return 'ended'
end
redis.call('HSET', KEYS[1], 'per_second', ARGV[2], 'note', ARGV[3])
redis.call('ZADD', BACKFILLS, 'XX', digits(now_ms), ARGV[1])
return 'recorded'
