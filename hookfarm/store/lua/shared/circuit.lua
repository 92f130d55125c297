-- requires: clock, window, free_window, operational_events
-- constants: CIRCUIT_FAILURES, ENDPOINTS, OPEN_CIRCUITS, SLOW_MS
-- What an attempt's result does to the window, and the circuit breaker: closed = healthy; open = after CIRCUIT_FAILURES
-- failures in a row only probes are sent, one at a time with a pause between two; half open = a probe is under way.
--
--   OPEN_CIRCUITS ZSET   endpoint of the registry -> ms since when its circuit has been open
local MIN_PROBE_PAUSE_MS, MAX_PROBE_PAUSE_MS = 1000, 60000

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

local function grow(endpoint, window)
  if not window.limits_loaded then
    load_limits(endpoint, window)
  end
  window.limit = math.min(window.limit + batch_size(window.limit), math.max(window.max_open, INITIAL_LIMIT))
end

-- `result` is 'delivered', 'healthy' (refused, but by a server that works), 'unhealthy', or 'unknown' if nothing was
-- attempted; `duration_ms` is how long the attempt took.
local function record_result(endpoint, window, result, duration_ms)
  if result ~= 'unknown' and window.slow ~= (duration_ms >= SLOW_MS) then
    window.slow = not window.slow
    window.changed = true
  end
  if result == 'delivered' then
    window.changed = window.changed or window.failing_since_ms > 0 or window.blocked_until_ms > 0
    close_circuit(endpoint, window)
    window.failing_since_ms = 0
    if window.parked > 0 or window.queued_backfill > 0 then
      grow(endpoint, window)
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
