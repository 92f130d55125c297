-- requires: clock
-- constants: BACKFILLS
-- Records the heartbeat of a running backfill, with its speed or the reason why it waits.
--
-- KEYS 1 state of the backfill HASH
-- ARGV 1 name of the backfill   2 blocks per second, '' = unknown   3 reason of its wait, '' = it makes progress
-- Returns 'recorded', or 'ended' if the backfill is done or removed. The last heartbeat may arrive after the end.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'done_ms') == 1 then
  return 'ended'
end
redis.call('HSET', KEYS[1], 'per_second', ARGV[2], 'note', ARGV[3])
redis.call('ZADD', BACKFILLS, 'XX', digits(now_ms), ARGV[1])
return 'recorded'
