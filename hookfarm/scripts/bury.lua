-- Something that is no job -> dead letters. The same garbage twice is one dead letter.
-- Removes first, so it also runs when Redis is full: the pop has made room.
--
-- ARGV 1 id   2 job
redis.call('ZREM', DEAD, ARGV[1])
redis.call('HSET', JOBS, ARGV[1], ARGV[2])
redis.call('ZADD', DEAD, digits(now_ms), ARGV[1])
return finish(1)
