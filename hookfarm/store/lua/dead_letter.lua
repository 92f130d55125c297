-- requires: clock, state_index
-- constants: JOBS
-- Stores an invalid element as a dead letter. The same element twice is one dead letter.
-- The first write removes, so the script also runs when Redis is full: the pop has made room.
--
-- ARGV 1 id   2 job
-- Returns 'dead'.
remove_dead(ARGV[1], redis.call('HGET', JOBS, ARGV[1]))
redis.call('HSET', JOBS, ARGV[1], ARGV[2])
add_dead(ARGV[1], now_ms, ARGV[2])
return 'dead'
