-- Put in front of every script of the queue: its moves are made of these. Each script ends in `finish`.
--
-- A window is how many jobs of one endpoint may be open at once; what is over it is parked, in order. It begins at
-- half of the workers where nobody else has a job, else at INITIAL, grows by one with each success while something is
-- parked, and halves on failures of the endpoint. After CIRCUIT failures in a row it is closed: one probe at a time,
-- and a pause between two of them. An endpoint with nothing open and nothing wrong has no window, and begins anew.
--
--   WINDOW<endpoint> HASH   open      how many of its jobs are open
--                           limit     the window
--                           failures  in a row; CIRCUIT or more = closed
--                           since     ms of the first failure after the last success
--                           pause     ms between the last two probes
--                           wait      ms until which nothing opens: the pause, or an ordered endpoint's retry
--                           next      us at which a rate limited endpoint may open its next job
--                           slow      1 = its last attempt took SLOW_MS or longer
--                           low       while more jobs than this are open, a success need not look any further
--   PARKED<endpoint> ZSET   id -> place. A job never attempted stands by its sequence (us), one that was by the time
--                           of its return in ms, a thousandth of that: so it is ahead of all the others.
--   ENDPOINT_LIMITS HASH             endpoint -> 'paused max_in_flight rate ordered', 0 = none; '*' -> workers of all farms
--   WINDOW_TIMERS ZSET               endpoint -> ms at which its window is to be looked at again
--   OPEN_CIRCUITS ZSET           endpoint of the registry -> ms since when failures have kept its window closed
--
-- Where something is parked, then something is open, whose settlement looks again, or WINDOW_TIMERS does, or it is paused.
local INITIAL = 4
local FIRST_PAUSE_MS, LONGEST_PAUSE_MS = 1000, 60000
local LATE_US = 500000
local WORKERS = 50
local LARGEST_BITE = 8
local MOST_AT_ONCE = 500

local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

local function digits(number)
  return string.format('%.0f', number)
end

local last_sequence
local function next_sequence()
  local last = last_sequence or tonumber(redis.call('GET', SEQUENCE) or '0') or 0
  last_sequence = math.max(last + 1, now_us)
  return digits(last_sequence)
end

-- Jobs -> the list, in this order; their places in a window are the caller's to count.
local function push(ids, jobs)
  local scores, elements = {}, {}
  for i, id in ipairs(ids) do
    local sequence = next_sequence()
    scores[2 * i - 1], scores[2 * i] = sequence, id
    elements[i] = '{"seq":' .. sequence .. ',' .. string.sub(jobs[i], 2)
  end
  redis.call('ZADD', OPEN, unpack(scores))
  redis.call('LPUSH', DELIVERY_QUEUE, unpack(elements))
end

-- Whether the job is open under the sequence that its worker knows.
local function still_held(id, sequence)
  local score = redis.call('ZSCORE', OPEN, id)
  return score and tonumber(score) == tonumber(sequence)
end

local function endpoint_of(job)
  return string.match(job, '^{"id":"[^"]*","endpoint":"([^"]*)"')
end

local lanes
local function all_lanes()
  lanes = lanes or redis.call('SMEMBERS', BACKFILL_QUEUES)
  return lanes
end

local windows = {}
local function window_of(endpoint)
  local window = windows[endpoint]
  if not window then
    local stored = redis.call('HMGET', WINDOW .. endpoint,
                              'open', 'limit', 'failures', 'since', 'pause', 'wait', 'next', 'slow')
    window = {
      open = math.max(tonumber(stored[1] or 0), 0),
      limit = tonumber(stored[2] or '0'),
      failures = tonumber(stored[3] or 0),
      since = tonumber(stored[4] or 0),
      pause = tonumber(stored[5] or 0),
      wait = tonumber(stored[6] or 0),
      next = tonumber(stored[7] or 0),
      slow = stored[8] == '1',
      parked = redis.call('ZCARD', PARKED .. endpoint),
      lane = #all_lanes() > 0 and redis.call('ZCARD', BACKFILL_QUEUE .. endpoint) or 0,
      stored = stored[1],
    }
    windows[endpoint] = window
  end
  return window
end

-- A large window is filled in bites: one look at it for several jobs.
local function bite(limit)
  return math.max(1, math.min(math.floor(limit / 4), LARGEST_BITE))
end

-- How many jobs are open of the endpoints that have a lane, and of `endpoint` where it has none.
local function open_beside_lanes(endpoint, window)
  local open, counted = 0, false
  for _, other in ipairs(all_lanes()) do
    local known = windows[other]
    open = open + (known and known.open or tonumber(redis.call('HGET', WINDOW .. other, 'open') or 0))
    counted = counted or other == endpoint
  end
  return counted and open or open + window.open
end

-- What the registry allows. An endpoint beside others, or a slow one, never has more than half of the workers: all
-- would be held until its first answer, or its first time-out, when it stops answering or others come. One that is
-- alone may have all of them, and a bite more, so that none waits for the next bite. What lanes have makes nobody less
-- alone.
local function load_limits(endpoint, window)
  local set, workers = unpack(redis.call('HMGET', ENDPOINT_LIMITS, endpoint, '*'))
  local paused, most, rate, ordered = string.match(set or '', '^(%S+) (%S+) (%S+) (%S+)$')
  workers = tonumber(workers or WORKERS)
  window.workers = workers
  local alone = redis.call('ZCARD', OPEN) <= open_beside_lanes(endpoint, window)
  window.most = alone and not window.slow and workers + LARGEST_BITE or math.ceil(workers / 2)
  if window.limit == 0 then
    window.limit = alone and math.ceil(workers / 2) or INITIAL
  end
  window.limited = set
  if set then
    window.paused = paused == '1'
    window.ordered = ordered == '1'
    window.interval_us = tonumber(rate) > 0 and 1000000 / tonumber(rate)
    if tonumber(most) > 0 then
      window.most = math.min(window.most, tonumber(most))
    end
    if window.ordered then
      window.most = 1
    end
  end
  window.known = true
end

-- When a rate limited endpoint's next job is due. Up to LATE_US of lateness are made good, no more.
local function due_us(window)
  return math.max(window.next, now_us - LATE_US)
end

-- How many more jobs may open now; where only time is in the way, the ms at which to look again.
local function room(endpoint, window)
  if not window.known then
    load_limits(endpoint, window)
  end
  if window.paused then
    return 0
  end
  if now_ms < window.wait then
    return 0, window.wait
  end
  local most = window.failures >= CIRCUIT and 1 or math.min(window.limit, window.most)
  local free = most - window.open
  if free > 0 and window.interval_us then
    local due = due_us(window)
    if due > now_us then
      return 0, math.ceil(due / 1000)
    end
    free = math.min(free, math.floor((now_us - due) / window.interval_us) + 1)
  end
  return free
end

local function enter(window)
  window.open = window.open + 1
  if window.interval_us then
    window.next = due_us(window) + window.interval_us
    window.changed = true
  end
end

local function leave(window)
  window.open = math.max(window.open - 1, 0)
end

local function park(endpoint, window, id, place)
  redis.call('ZADD', PARKED .. endpoint, place, id)
  window.parked = window.parked + 1
end

-- A job of the ledger that is in no place -> open, or parked where its window is full.
local function admit(endpoint, id, job, attempted)
  local window = window_of(endpoint)
  if window.parked == 0 and room(endpoint, window) > 0 then
    enter(window)
    push({id}, {job})
  else
    park(endpoint, window, id, attempted and string.format('%.3f', now_us / 1000) or next_sequence())
  end
end

-- Parked -> list, as many as there is room for.
local function release(endpoint, window)
  while window.parked > 0 do
    local free, again_at = room(endpoint, window)
    if free < 1 then
      if again_at then
        redis.call('ZADD', WINDOW_TIMERS, digits(again_at), endpoint)
      end
      return
    end
    local ids = {}
    for i, popped in ipairs(redis.call('ZPOPMIN', PARKED .. endpoint, math.min(free, MOST_AT_ONCE))) do
      if i % 2 == 1 then
        ids[#ids + 1] = popped
        enter(window)
      end
    end
    window.parked = redis.call('ZCARD', PARKED .. endpoint)
    push(ids, redis.call('HMGET', JOBS, unpack(ids)))
  end
end

-- A job has left the ledger for good, or is dead: what waited for that goes on its way.
local function over(id)
  local following = redis.call('HGET', FOLLOW_UPS, id)
  if following then
    redis.call('HDEL', FOLLOW_UPS, id)
    local next_id, endpoint = string.match(following, '^{"id":"([^"]*)","endpoint":"([^"]*)"')
    if redis.call('HSETNX', JOBS, next_id, following) == 1 then
      admit(endpoint, next_id, following, false)
    end
  end
end

--@part lanes

local function failed(endpoint, window)
  if not window.known then
    load_limits(endpoint, window)
  end
  window.failures = window.failures + 1
  window.limit = math.max(math.floor(window.limit / 2), 1)
  if window.failures >= CIRCUIT and redis.call('HEXISTS', ENDPOINTS, endpoint) == 1 then
    if redis.call('ZADD', OPEN_CIRCUITS, 'NX', digits(now_ms), endpoint) == 1 then
      note_fact('hookfarm.endpoint.circuit_opened', now_us, endpoint, {failures = window.failures})
    end
  end
  if window.failures >= CIRCUIT and now_ms >= window.wait then
    window.pause = math.min(math.max(2 * window.pause, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
    window.wait = math.floor(now_ms + window.pause * (0.8 + 0.4 * (now_us % 1000) / 1000))
  end
end

local function answers(endpoint, window)
  if window.failures >= CIRCUIT and redis.call('ZREM', OPEN_CIRCUITS, endpoint) == 1 then
    note_fact('hookfarm.endpoint.circuit_closed', now_us, endpoint, {})
  end
  window.failures, window.pause, window.wait = 0, 0, 0
end

local function grow(endpoint, window)
  if not window.known then
    load_limits(endpoint, window)
  end
  window.limit = math.min(window.limit + bite(window.limit), math.max(window.most, INITIAL))
end

-- What came of an attempt -> the window: 'delivered', 'answered' (refused, but by a server that works), 'failed', or
-- 'none' where nothing was attempted. `took_ms` is how long it took.
local function learn(endpoint, window, result, took_ms)
  if result ~= 'none' and window.slow ~= (took_ms >= SLOW_MS) then
    window.slow = not window.slow
    window.changed = true
  end
  if result == 'delivered' then
    window.changed = window.changed or window.since > 0 or window.wait > 0
    answers(endpoint, window)
    window.since = 0
    if window.parked > 0 or window.lane > 0 then
      grow(endpoint, window)
    end
  elseif result ~= 'none' then
    window.changed = true
    if window.since == 0 then
      window.since = now_ms
    end
    if result == 'failed' then
      failed(endpoint, window)
    else
      answers(endpoint, window)
    end
  end
end

-- Down to how many open jobs a success may leave the window alone; '' = it may never.
local function low_mark(window)
  if window.since > 0 or window.wait > 0 or window.slow or window.next > 0 or window.limited then
    return ''
  end
  if window.parked == 0 and window.lane == 0 then
    return 0
  end
  local size = bite(window.limit)
  return size > 1 and window.open - size or ''
end

local function store(endpoint, window)
  local key = WINDOW .. endpoint
  if window.open == 0 and window.since == 0 and window.wait <= now_ms and window.next <= now_us then
    if window.stored then
      redis.call('DEL', key)
    end
  elseif window.changed then
    redis.call('HSET', key, 'open', window.open, 'limit', window.limit, 'failures', window.failures,
               'since', digits(window.since), 'pause', window.pause, 'wait', digits(window.wait),
               'next', digits(window.next), 'slow', window.slow and 1 or 0, 'low', low_mark(window))
  else
    redis.call('HSET', key, 'open', window.open, 'limit', window.limit, 'low', low_mark(window))
  end
end

local function finish(result)
  for endpoint, window in pairs(windows) do
    release(endpoint, window)
    draw(endpoint, window)
    store(endpoint, window)
  end
  if last_sequence then
    redis.call('SET', SEQUENCE, digits(last_sequence))
  end
  return result
end
