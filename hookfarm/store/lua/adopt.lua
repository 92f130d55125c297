-- A popped element that somebody else pushed -> ledger, in the hands of the worker that popped it, or parked where
-- its endpoint's window is full. Removes first (nothing, as the id is new), so it also runs when Redis is full: the
-- pop has made room.
--
-- ARGV 1 id   2 job   3 endpoint
-- Returns its sequence (as a string: it exceeds what some clients read as an integer), '0' where the id is taken,
-- '-1' where it is parked.
local id, endpoint = ARGV[1], ARGV[3]
if redis.call('HEXISTS', JOBS, id) == 1 then
  return '0'
end
redis.call('ZREM', OPEN, id)
redis.call('HSET', JOBS, id, ARGV[2])
local window = window_of(endpoint)
if window.parked > 0 or room(endpoint, window) < 1 then
  park(endpoint, window, id, next_sequence())
  return finish('-1')
end
enter(window)
local sequence = next_sequence()
redis.call('ZADD', OPEN, sequence, id)
return finish(sequence)
