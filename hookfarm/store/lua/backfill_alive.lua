-- A backfill's sign of life: that it runs, how fast, and what keeps it from getting on.
--
-- KEYS 1 where the backfill stands HASH
-- ARGV 1 name of the backfill   2 blocks per second, '' = not known yet   3 why it does not get on, '' = it does
-- Returns 1, or 0 where it is done or removed: its last sign of life may come after its end.
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'done_ms') == 1 then
  return 0
end
local now = redis.call('TIME')
redis.call('HSET', KEYS[1], 'per_second', ARGV[2], 'note', ARGV[3])
redis.call('ZADD', BACKFILLS, 'XX', string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000)), ARGV[1])
return 1
