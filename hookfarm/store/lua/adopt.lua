-- requires: sequence, window, free_window, admission, flush
-- constants: JOBS, OPEN
-- A popped element that hookfarm did not push -> ledger, claimed by the worker that popped it, or parked if its
-- endpoint's window is full. Removes first (nothing, as the id is new), so it also runs when Redis is full: the pop has
-- made room.
--
-- ARGV 1 id   2 job   3 endpoint
-- Returns {'claimed', its sequence as a string (it exceeds what some clients read as an integer)}, {'parked'}, or
-- {'duplicate'} if the id is taken.
local id, endpoint = ARGV[1], ARGV[3]
if redis.call('HEXISTS', JOBS, id) == 1 then
  return {'duplicate'}
end
redis.call('ZREM', OPEN, id)
redis.call('HSET', JOBS, id, ARGV[2])
local window = window_of(endpoint)
if window.parked > 0 or room(endpoint, window) < 1 then
  park(endpoint, window, id, next_sequence())
  return flush({'parked'})
end
count_open(window)
local sequence = next_sequence()
redis.call('ZADD', OPEN, sequence, id)
return flush({'claimed', sequence})
