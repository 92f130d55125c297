-- A popped element that somebody else pushed -> ledger, in the hands of the worker that popped it.
-- Removes first (nothing, as the id is new), so it also runs when Redis is full: the pop has made room.
--
-- KEYS 1 jobs HASH   2 open ZSET   3 seq STRING
-- ARGV 1 id   2 job
-- Returns its sequence (as a string: it exceeds what some clients read as an integer), or '0' where the id is taken.
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then
  return '0'
end
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local seq = string.format('%.0f', math.max(tonumber(redis.call('GET', KEYS[3]) or '0') + 1, now))
redis.call('SET', KEYS[3], seq)
redis.call('ZADD', KEYS[2], seq, ARGV[1])
return seq
