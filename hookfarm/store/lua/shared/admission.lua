-- requires: clock, job, sequence, window, free_window
-- constants: FOLLOW_UPS, JOBS, PARKED, WINDOW_TIMERS
-- Jobs into an endpoint's window, or parked while it is full.
--
--   WINDOW_TIMERS ZSET   endpoint -> ms at which its window is to be looked at again
--
-- Where a job is parked, then another one of its endpoint is open, whose settlement looks again; or WINDOW_TIMERS has
-- the endpoint; or the endpoint is disabled.
local BATCH_SIZE = 500

local function park(endpoint, window, id, position)
  redis.call('ZADD', PARKED .. endpoint, position, id)
  window.parked = window.parked + 1
end

-- A job of the ledger that has no state yet -> open, or parked if its window is full. One that was attempted before is
-- parked ahead of those that never were.
local function enqueue_or_park(endpoint, id, job, was_attempted)
  local window = window_of(endpoint)
  if window.parked == 0 and room(endpoint, window) > 0 then
    count_open(window)
    push({id}, {job})
  else
    park(endpoint, window, id, was_attempted and string.format('%.3f', now_us / 1000) or next_sequence())
  end
end

-- Parked -> list, as many as there is room for.
local function unpark(endpoint, window)
  while window.parked > 0 do
    local free, again_at_ms = room(endpoint, window)
    if free < 1 then
      if again_at_ms then
        redis.call('ZADD', WINDOW_TIMERS, digits(again_at_ms), endpoint)
      end
      return
    end
    local ids = {}
    for i, popped in ipairs(redis.call('ZPOPMIN', PARKED .. endpoint, math.min(free, BATCH_SIZE))) do
      if i % 2 == 1 then
        ids[#ids + 1] = popped
        count_open(window)
      end
    end
    window.parked = redis.call('ZCARD', PARKED .. endpoint)
    push(ids, redis.call('HMGET', JOBS, unpack(ids)))
  end
end

-- A job has left the ledger for good, or is dead: the job that follows it is enqueued.
local function on_terminal(id)
  local follow_up = redis.call('HGET', FOLLOW_UPS, id)
  if follow_up then
    redis.call('HDEL', FOLLOW_UPS, id)
    local next_id, endpoint = id_and_endpoint_of(follow_up)
    if redis.call('HSETNX', JOBS, next_id, follow_up) == 1 then
      enqueue_or_park(endpoint, next_id, follow_up, false)
    end
  end
end
