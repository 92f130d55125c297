-- requires: clock, window
-- constants: CIRCUIT_FAILURES, ENDPOINT_LIMITS, OPEN, WINDOW
-- How many more jobs of an endpoint may open now: its window, what the registry allows, and its share of the workers.
--
--   ENDPOINT_LIMITS HASH   endpoint -> 'disabled max_in_flight rate ordered', 0 = none; '*' -> workers of all farms
local INITIAL_LIMIT = 4
local DEFAULT_WORKERS = 50

-- How many jobs are open of the endpoints with a backfill queue, and of `endpoint` if it has none.
local function open_beside_live(endpoint, window)
  local open, counted = 0, false
  for _, other in ipairs(all_backfill_queues()) do
    local known = windows[other]
    open = open + (known and known.open or tonumber(redis.call('HGET', WINDOW .. other, 'open') or 0))
    counted = counted or other == endpoint
  end
  return counted and open or open + window.open
end

-- An endpoint beside others, or a slow one, never has more than half of the workers: all would be held until its first
-- answer, or its first time-out, when it stops answering or others come. One that is alone may have all of them and a
-- batch more, so that no worker waits for the next batch. Jobs of backfills do not count as others.
local function load_limits(endpoint, window)
  local limits, workers = unpack(redis.call('HMGET', ENDPOINT_LIMITS, endpoint, '*'))
  local disabled, max_in_flight, rate, ordered = string.match(limits or '', '^(%S+) (%S+) (%S+) (%S+)$')
  workers = tonumber(workers or DEFAULT_WORKERS)
  window.workers = workers
  local alone = redis.call('ZCARD', OPEN) <= open_beside_live(endpoint, window)
  window.max_open = alone and not window.slow and workers + MAX_BATCH or math.ceil(workers / 2)
  if window.limit == 0 then
    window.limit = alone and math.ceil(workers / 2) or INITIAL_LIMIT
  end
  window.has_limits = limits
  if limits then
    window.disabled = disabled == '1'
    window.ordered = ordered == '1'
    window.interval_us = tonumber(rate) > 0 and 1000000 / tonumber(rate)
    if tonumber(max_in_flight) > 0 then
      window.max_open = math.min(window.max_open, tonumber(max_in_flight))
    end
    if window.ordered then
      window.max_open = 1
    end
  end
  window.limits_loaded = true
end

-- How many more jobs may open now; if only time is in the way, also the ms at which to look again.
local function room(endpoint, window)
  if not window.limits_loaded then
    load_limits(endpoint, window)
  end
  if window.disabled then
    return 0
  end
  if now_ms < window.blocked_until_ms then
    return 0, window.blocked_until_ms
  end
  local limit = window.failures >= CIRCUIT_FAILURES and 1 or math.min(window.limit, window.max_open)
  local free = limit - window.open
  if free > 0 and window.interval_us then
    local due_us = next_due_us(window)
    if due_us > now_us then
      return 0, math.ceil(due_us / 1000)
    end
    free = math.min(free, math.floor((now_us - due_us) / window.interval_us) + 1)
  end
  return free
end
