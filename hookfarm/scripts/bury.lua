-- Something that is no job -> dead letters. The same garbage twice is one dead letter.
-- Removes first, so it also runs when Redis is full: the pop has made room.
--
-- KEYS 1 jobs HASH   2 dead ZSET
-- ARGV 1 id   2 job
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
local time = redis.call('TIME')
redis.call('ZADD', KEYS[2], string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)), ARGV[1])
return 1
