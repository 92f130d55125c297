-- requires: sequence, window, free_window, admission, flush
-- constants: DELIVERED, JOBS, OPEN, PARKED
-- Adopts a popped foreign element as a job, claimed by its worker, or parked if its endpoint's window is full.
-- The first write removes (nothing, since the id is new), so the script also runs when Redis is full.
--
-- ARGV 1 id   2 job   3 endpoint   4 '1' = an earlier call without a reply may have adopted the job
-- Returns {'claimed', sequence}, {'parked'}, or {'duplicate'} if the id is taken. The sequence is a string: it exceeds
-- the integers of some clients.
local id, endpoint = ARGV[1], ARGV[3]
local stored = redis.call('HGET', JOBS, id)
if stored and redis.call('HEXISTS', DELIVERED, id) == 0 then
  local sequence = redis.call('ZSCORE', OPEN, id)
  if ARGV[4] ~= '1' or stored ~= ARGV[2] then
    return {'duplicate'}
  end
  if sequence then
    return {'claimed', sequence}
  end
  return {redis.call('ZSCORE', PARKED .. endpoint, id) and 'parked' or 'duplicate'}
end
redis.call('ZREM', OPEN, id)
redis.call('HDEL', DELIVERED, id)
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
