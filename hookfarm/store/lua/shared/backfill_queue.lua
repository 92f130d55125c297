-- requires: sequence, window, free_window, admission
-- constants: BACKFILL_JOBS, BACKFILL_QUEUE, DEAD, DELIVERED, JOBS, LIVE_ACTIVITY
-- Backfill queue of an endpoint: jobs of backfills, drained beside the live jobs.
--
-- The jobs are outside the ledger. They enter it in order, if the endpoint's window has room and no job is parked. So
-- live jobs go first.
-- Live activity: jobs of endpoints without a backfill queue are open, or were open within LIVE_ACTIVITY_MS.
-- All backfill queues together get BACKFILL_SHARE of the capacity during live activity, else the whole capacity and a
-- batch. Settlements drain the queue of their endpoint; tick.lua drains all queues.
--
--   BACKFILL_QUEUE<endpoint> ZSET   id -> position, in chain order
--   BACKFILL_JOBS HASH              id -> job
--   BACKFILL_QUEUES SET             endpoints with a backfill queue, or with open jobs after the queue is empty
--   LIVE_ACTIVITY STRING            exists during live activity
local BACKFILL_SHARE = 0.25
local LIVE_ACTIVITY_MS = 1000

-- Returns how many more jobs of the endpoint's backfill queue may open. All queues have equal parts of their share.
local function backfill_room(endpoint, window)
  local open = open_beside_live(endpoint, window)
  if count_all_open() > open then
    redis.call('DEL', LIVE_ACTIVITY)  -- The first write removes, so that a full server does not refuse the script.
    redis.call('SET', LIVE_ACTIVITY, 1, 'PX', LIVE_ACTIVITY_MS)
  elseif redis.call('EXISTS', LIVE_ACTIVITY) == 0 then
    return window.capacity + batch_size(window.capacity) - open
  end
  local share = math.ceil(window.capacity * BACKFILL_SHARE)
  return math.min(share - open, math.max(math.floor(share / #all_backfill_queues()), 1) - window.open)
end

-- Moves jobs from the backfill queue to the list while there is room. Drops jobs delivered or enqueued meanwhile.
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
