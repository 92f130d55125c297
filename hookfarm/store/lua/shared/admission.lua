-- requires: clock, job, sequence, window, free_window
-- constants: DELIVERED, FOLLOW_UPS, JOBS, PARKED, POOL_WAITING, WINDOW_TIMERS
-- Jobs into an endpoint's window, or parked while it is full.
--
--   WINDOW_TIMERS ZSET   endpoint -> ms at which its window is to be looked at again
--
-- Where a job is parked, then another one of its endpoint is open, whose settlement looks again; or WINDOW_TIMERS or
-- POOL_WAITING has the endpoint; or the endpoint is disabled.
local BATCH_SIZE = 500

-- A new job -> ledger. Returns false if it is there and not delivered yet; a delivered one begins anew.
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

-- A job of the ledger that has no state yet -> open, or parked if its window is full. One that was attempted before is
-- parked ahead of those that never were.
local function enqueue_or_park(endpoint, id, was_attempted)
  local window = window_of(endpoint)
  if window.parked == 0 and room(endpoint, window) > 0 then
    count_open(window)
    push(id)
  else
    park(endpoint, window, id, was_attempted and string.format('%.3f', now_us / 1000) or next_sequence())
  end
end

-- Parked -> list, as many as there is room for.
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

-- A job has left the ledger for good, or is dead: the job that follows it is enqueued.
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
