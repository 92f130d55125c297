-- requires: clock, pool, window, free_window, operational_events
-- constants: CIRCUIT_FAILURES, ENDPOINTS, OPEN_CIRCUITS, SLOW_MS
-- Effect of an attempt's result on its endpoint's window and circuit breaker. States of the circuit breaker:
--   closed      jobs are sent
--   open        after CIRCUIT_FAILURES failures in a row: only probes are sent, one at a time, with pauses
--   half open   a probe is under way
--
--   OPEN_CIRCUITS ZSET   endpoint -> ms at which its circuit opened
local MIN_PROBE_PAUSE_MS, MAX_PROBE_PAUSE_MS = 1000, 60000
local MIN_CONGESTED_MS = 100

local function record_failure(endpoint, window)
  if not window.limits_loaded then
    load_limits(endpoint, window)
  end
  window.failures = window.failures + 1
  window.limit = math.max(math.floor(window.limit / 2), 1)
  if window.failures >= CIRCUIT_FAILURES and redis.call('HEXISTS', ENDPOINTS, endpoint) == 1 then
    if redis.call('ZADD', OPEN_CIRCUITS, 'NX', digits(now_ms), endpoint) == 1 then
      record_event('hookfarm.endpoint.circuit_opened', now_us, endpoint, {failures = window.failures})
    end
  end
  if window.failures >= CIRCUIT_FAILURES and now_ms >= window.blocked_until_ms then
    window.probe_pause_ms = math.min(math.max(2 * window.probe_pause_ms, MIN_PROBE_PAUSE_MS), MAX_PROBE_PAUSE_MS)
    window.blocked_until_ms = math.floor(now_ms + window.probe_pause_ms * (0.8 + 0.4 * (now_us % 1000) / 1000))
  end
end

local function close_circuit(endpoint, window)
  if window.failures >= CIRCUIT_FAILURES and redis.call('ZREM', OPEN_CIRCUITS, endpoint) == 1 then
    record_event('hookfarm.endpoint.circuit_closed', now_us, endpoint, {})
  end
  window.failures, window.probe_pause_ms, window.blocked_until_ms = 0, 0, 0
end

-- Smooths the latency like a TCP round-trip time (RFC 6298). The floor rises slowly, to follow a receiver that has
-- become permanently slower.
local function record_latency(window, duration_ms)
  local smoothed = window.latency_ms or duration_ms
  window.latency_ms = smoothed + (duration_ms - smoothed) / 8
  local floor = window.latency_floor_ms or duration_ms
  window.latency_floor_ms = math.min(duration_ms, floor + math.max(floor, 1) / 256)
  window.changed = true
end

-- Returns whether latency is far above its floor; more jobs at once would then only add latency.
local function is_congested(window)
  return window.latency_ms > math.max(2 * window.latency_floor_ms, MIN_CONGESTED_MS)
end

local function grow(endpoint, window, duration_ms, successes)
  record_latency(window, duration_ms)
  if not window.limits_loaded then
    load_limits(endpoint, window)
  end
  if not is_congested(window) then
    local added = math.max(batch_size(window.limit), successes)
    window.limit = math.min(window.limit + added, math.max(window.max_open, INITIAL_LIMIT))
  end
end

-- Updates the window after `count` attempts with one result. `result` is 'delivered', 'healthy' (refused by a working
-- server), 'unhealthy', or 'unknown' (not attempted). `duration_ms` is the longest duration.
local function record_result(endpoint, window, result, duration_ms, count)
  if result == 'delivered' or result == 'unhealthy' then
    mark_proven(endpoint, window, result == 'delivered' and duration_ms < SLOW_MS)
  end
  if result == 'delivered' then
    window.changed = window.changed or window.failing_since_ms > 0 or window.blocked_until_ms > 0
    close_circuit(endpoint, window)
    window.failing_since_ms = 0
    if window.parked > 0 or window.queued_backfill > 0 then
      grow(endpoint, window, duration_ms, count)
    end
  elseif result ~= 'unknown' then
    window.changed = true
    if window.failing_since_ms == 0 then
      window.failing_since_ms = now_ms
    end
    if result == 'unhealthy' then
      record_failure(endpoint, window)
    else
      close_circuit(endpoint, window)
    end
  end
end
