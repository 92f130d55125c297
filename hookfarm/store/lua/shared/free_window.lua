-- requires: clock, pool, sequence, window
-- constants: CIRCUIT_FAILURES, ENDPOINT_LIMITS, WINDOW
-- Room in an endpoint's window: how many more jobs may open now. It depends on the window, on the endpoint's limits in
-- the registry, and on its share of the capacity.
--
--   ENDPOINT_LIMITS HASH   endpoint -> 'disabled max_in_flight rate ordered', 0 = none
--                          '*' -> 'capacity max_in_flight': maximum of jobs in flight in all farms, and default maximum
--                          of an endpoint
local INITIAL_LIMIT = 4
local DEFAULT_CAPACITY, DEFAULT_MAX_IN_FLIGHT = 800, 1000

local farm_capacity, farm_max_in_flight
local function read_farm_limits()
  if not farm_capacity then
    local capacity, max = string.match(redis.call('HGET', ENDPOINT_LIMITS, '*') or '', '^(%d+) (%d+)$')
    farm_capacity = tonumber(capacity or DEFAULT_CAPACITY)
    farm_max_in_flight = tonumber(max or DEFAULT_MAX_IN_FLIGHT)
  end
end

-- Returns how many more jobs of unproven endpoints may open.
local function pool_room()
  read_farm_limits()
  return math.ceil(farm_capacity / 2) - open_of_unproven()
end

-- Returns the number of open jobs of endpoints with a backfill queue, plus those of `endpoint`.
local function open_beside_live(endpoint, window)
  local open, counted = 0, false
  for _, other in ipairs(all_backfill_queues()) do
    local known = windows[other]
    open = open + (known and known.open or tonumber(redis.call('HGET', WINDOW .. other, 'open') or 0))
    counted = counted or other == endpoint
  end
  return counted and open or open + window.open
end

-- Loads the endpoint's limits into its window. The maximum of open jobs is
--   - half of the capacity beside other endpoints: if the endpoint stops responding, the rest is left to the others
--   - the capacity and a batch for an endpoint that is alone, so that workers do not wait for the next batch
-- Endpoints with a backfill queue do not count as others.
local function load_limits(endpoint, window)
  read_farm_limits()
  local limits = redis.call('HGET', ENDPOINT_LIMITS, endpoint)
  local disabled, max_in_flight, rate, ordered = string.match(limits or '', '^(%S+) (%S+) (%S+) (%S+)$')
  window.capacity = farm_capacity
  local alone = count_all_open() <= open_beside_live(endpoint, window)
  window.max_open = alone and window.capacity + batch_size(window.capacity) or math.ceil(window.capacity / 2)
  if window.limit == 0 then
    window.limit = alone and math.max(math.floor(window.capacity / 8), INITIAL_LIMIT) or INITIAL_LIMIT
  end
  if tonumber(max_in_flight or 0) == 0 then
    max_in_flight = farm_max_in_flight
  end
  window.max_open = math.min(window.max_open, tonumber(max_in_flight))
  window.has_limits = limits
  if limits then
    window.disabled = disabled == '1'
    window.ordered = ordered == '1'
    window.interval_us = tonumber(rate) > 0 and 1000000 / tonumber(rate)
    if window.ordered then
      window.max_open = 1
    end
  end
  window.limits_loaded = true
end

-- Returns how many more jobs may open now. If it is 0, a second value may follow: the ms at which there may be room
-- again, or 'pool' if the pool is full.
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
  if free > 0 and not window.is_proven then
    free = math.min(free, pool_room())
    if free < 1 then
      return 0, 'pool'
    end
  end
  if free > 0 and window.interval_us then
    local due_us = next_due_us(window)
    if due_us > now_us then
      return 0, math.ceil(due_us / 1000)
    end
    free = math.min(free, math.floor((now_us - due_us) / window.interval_us) + 1)
  end
  return free
end
