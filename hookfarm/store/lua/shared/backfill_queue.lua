-- requires: sequence, window, free_window, admission
-- constants: BACKFILL_JOBS, BACKFILL_QUEUE, DEAD, DELIVERED, JOBS, LIVE_ACTIVITY
-- The backfill queue of an endpoint: the jobs of a backfill, drained beside the live ones.
--
-- It is outside of the ledger. Its jobs enter that, in order, when the endpoint's window has room and nothing of it is
-- parked, so every live job goes first. While jobs of endpoints without a backfill queue are open, or were within
-- LIVE_ACTIVITY_MS, all backfill queues together have BACKFILL_SHARE of the capacity at most; else all of it, and
-- a batch. `tick` looks at all of them four times a second, beside every settlement.
--
--   BACKFILL_QUEUE<endpoint> ZSET   id -> position, in the order of the chain
--   BACKFILL_JOBS HASH              id -> job
--   BACKFILL_QUEUES SET             the endpoints that have one, until the last job out of it is no longer open
--   LIVE_ACTIVITY STRING            exists while jobs of other endpoints are open, and LIVE_ACTIVITY_MS longer
local BACKFILL_SHARE = 0.25
local LIVE_ACTIVITY_MS = 1000

-- How many more jobs of backfills may open; each queue has its part of what they have together.
local function backfill_room(endpoint, window)
  local open = open_beside_live(endpoint, window)
  if count_all_open() > open then
    redis.call('DEL', LIVE_ACTIVITY)  -- A removal goes before what a full server would refuse.
    redis.call('SET', LIVE_ACTIVITY, 1, 'PX', LIVE_ACTIVITY_MS)
  elseif redis.call('EXISTS', LIVE_ACTIVITY) == 0 then
    return window.capacity + batch_size(window.capacity) - open
  end
  local share = math.ceil(window.capacity * BACKFILL_SHARE)
  return math.min(share - open, math.max(math.floor(share / #all_backfill_queues()), 1) - window.open)
end

-- Backfill queue -> list, as many as there is room for, without those that were delivered or enqueued meanwhile.
local function fill_from_backfill(endpoint, window)
  while window.queued_backfill > 0 and window.parked == 0 do
    local free = room(endpoint, window)
    if free >= 1 then
      free = math.min(free, backfill_room(endpoint, window))
    end
    if free < 1 then
      return
    end
    local done = {}
    for i, id in ipairs(redis.call('ZPOPMIN', BACKFILL_QUEUE .. endpoint, math.min(free, BATCH_SIZE))) do
      if i % 2 == 1 then
        local job = redis.call('HGET', BACKFILL_JOBS, id)
        redis.call('HDEL', BACKFILL_JOBS, id)
        if job and redis.call('HSETNX', JOBS, id, job) == 1 then
          count_open(window)
          push(id)
        elseif redis.call('HEXISTS', DELIVERED, id) == 1 or redis.call('ZSCORE', DEAD, id) then
          done[#done + 1] = id
        end
      end
    end
    window.queued_backfill = redis.call('ZCARD', BACKFILL_QUEUE .. endpoint)
    for _, id in ipairs(done) do
      on_terminal(id)
    end
    unpark(endpoint, window)
  end
end
