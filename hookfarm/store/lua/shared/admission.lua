-- requires: clock, job, sequence, window, free_window
-- constants: DELIVERED, FOLLOW_UPS, JOBS, PARKED, POOL_WAITING, WINDOW_TIMERS
-- Admission of jobs to their endpoint's window; jobs over a full window are parked.
--
--   WINDOW_TIMERS ZSET   endpoint -> ms at which tick.lua fills its window
--
-- For each endpoint with parked jobs, one of these holds:
--   - another of its jobs is open, and the settlement of that job fills the window
--   - the endpoint is in WINDOW_TIMERS or POOL_WAITING
--   - the endpoint is disabled
local BATCH_SIZE = 500

-- Adds a job to the ledger; replaces a delivered one. Returns false if the ledger has the job undelivered.
local function enter_ledger(id, job)
  if redis.call('HSETNX', JOBS, id, job) == 1 then
    return true
  end
  if redis.call('HDEL', DELIVERED, id) == 0 then
    return false
  end
  redis.call('HSET', JOBS, id, job)
  return true
end

local function park(endpoint, window, id, position)
  redis.call('ZADD', PARKED .. endpoint, position, id)
  window.parked = window.parked + 1
end

-- Opens a job of the ledger that has no state yet; parks it if the window is full. A job that was attempted before is
-- parked ahead of unattempted ones.
local function enqueue_or_park(endpoint, id, was_attempted)
  local window = window_of(endpoint)
  if window.parked == 0 and room(endpoint, window) > 0 then
    count_open(window)
    push(id)
  else
    park(endpoint, window, id, was_attempted and string.format('%.3f', now_us / 1000) or next_sequence())
  end
end

-- Moves parked jobs to the list while the window has room.
local function unpark(endpoint, window)
  while window.parked > 0 do
    local free, again = room(endpoint, window)
    if free < 1 then
      if again == 'pool' then
        redis.call('ZADD', POOL_WAITING, 'NX', next_sequence(), endpoint)
      elseif again then
        redis.call('ZADD', WINDOW_TIMERS, digits(again), endpoint)
      end
      return
    end
    for i, popped in ipairs(redis.call('ZPOPMIN', PARKED .. endpoint, math.min(free, BATCH_SIZE))) do
      if i % 2 == 1 then
        count_open(window)
        push(popped)
      end
    end
    window.parked = redis.call('ZCARD', PARKED .. endpoint)
  end
end

-- Enqueues the follow-up of a delivery that has ended: delivered, dead or removed.
local function on_terminal(id)
  local follow_up = redis.call('HGET', FOLLOW_UPS, id)
  if follow_up then
    redis.call('HDEL', FOLLOW_UPS, id)
    local next_id, endpoint = id_and_endpoint_of(follow_up)
    if enter_ledger(next_id, follow_up) then
      enqueue_or_park(endpoint, next_id, false)
    end
  end
end
