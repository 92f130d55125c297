-- A part of ledger.lua.
--
-- A lane is what a backfill has for one endpoint. It is outside of the ledger: its jobs enter that, in order, where the
-- endpoint's window has room and nothing of it is parked, so that every live job goes first. While jobs of endpoints
-- without a lane are open, or were within LIVE_MS, all lanes together have LANE_SHARE of the workers at most; else as
-- many as there are, and a bite. `promote` looks at all of them four times a second, beside every settlement.
--
--   BACKFILL_QUEUE<endpoint> ZSET     id -> place, in the order of the chain
--   BACKFILL_JOBS HASH          id -> job
--   BACKFILL_QUEUES SET               the endpoints that have one, until the last job that came out of it is no longer open
--   LIVE_ACTIVITY STRING             there while jobs of other endpoints were open just now
local LANE_SHARE = 0.25
local LIVE_MS = 1000

-- How many more jobs of lanes may open, each lane having its part of what they have together.
local function lane_room(endpoint, window)
  local theirs = open_beside_lanes(endpoint, window)
  if redis.call('ZCARD', OPEN) > theirs then
    redis.call('DEL', LIVE_ACTIVITY)  -- A removal goes before what a full server would refuse.
    redis.call('SET', LIVE_ACTIVITY, 1, 'PX', LIVE_MS)
  elseif redis.call('EXISTS', LIVE_ACTIVITY) == 0 then
    return window.workers + LARGEST_BITE - theirs
  end
  local share = math.ceil(window.workers * LANE_SHARE)
  return math.min(share - theirs, math.max(math.floor(share / #all_lanes()), 1) - window.open)
end

-- Lane -> list, as many as there is room for. What was delivered, or is owed, by another way meanwhile is left out.
local function draw(endpoint, window)
  while window.lane > 0 and window.parked == 0 do
    local free = room(endpoint, window)
    if free >= 1 then
      free = math.min(free, lane_room(endpoint, window))
    end
    if free < 1 then
      return
    end
    local ids, jobs, done = {}, {}, {}
    for i, id in ipairs(redis.call('ZPOPMIN', BACKFILL_QUEUE .. endpoint, math.min(free, MOST_AT_ONCE))) do
      if i % 2 == 1 then
        local job = redis.call('HGET', BACKFILL_JOBS, id)
        redis.call('HDEL', BACKFILL_JOBS, id)
        if job and redis.call('HEXISTS', DELIVERED, id) == 0 and redis.call('HSETNX', JOBS, id, job) == 1 then
          ids[#ids + 1], jobs[#jobs + 1] = id, job
          enter(window)
        elseif redis.call('HEXISTS', JOBS, id) == 0 or redis.call('ZSCORE', DEAD, id) then
          done[#done + 1] = id
        end
      end
    end
    window.lane = redis.call('ZCARD', BACKFILL_QUEUE .. endpoint)
    if #ids > 0 then
      push(ids, jobs)
    end
    for _, id in ipairs(done) do
      over(id)
    end
    release(endpoint, window)
  end
end
