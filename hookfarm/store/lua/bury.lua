-- Something that is no job -> dead letters. The same garbage twice is one dead letter.
-- Removes first, so it also runs when Redis is full: the pop has made room.
--
-- ARGV 1 id   2 job
leave_dead(ARGV[1], redis.call('HGET', JOBS, ARGV[1]))
redis.call('HSET', JOBS, ARGV[1], ARGV[2])
enter_dead(ARGV[1], now_ms, ARGV[2])
return finish(1)
