-- requires: clock, state_index
-- constants: JOBS
-- An element that is no job -> dead letters. The same element twice is one dead letter.
-- Removes first, so it also runs when Redis is full: the pop has made room.
--
-- ARGV 1 id   2 job
-- Returns 'dead'.
remove_dead(ARGV[1], redis.call('HGET', JOBS, ARGV[1]))
redis.call('HSET', JOBS, ARGV[1], ARGV[2])
add_dead(ARGV[1], now_ms, ARGV[2])
return 'dead'
