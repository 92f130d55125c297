-- requires: clock, pool
-- constants: BACKFILL_QUEUE, BACKFILL_QUEUES, PARKED, PROVEN, WINDOW
-- Window of an endpoint: the maximum number of its open jobs. Jobs over it are parked, in order.
-- docs/decisions/0002-windows.md explains growth and shrinking.
--
--   WINDOW<endpoint> HASH   open              number of open jobs
--                           limit             the window
--                           failures          failures in a row; CIRCUIT_FAILURES or more = the circuit is open
--                           failing_since_ms  time of the first failure after the last success
--                           probe_pause_ms    pause between the last two probes
--                           blocked_until_ms  end of the pause before the next probe, or before an ordered retry
--                           next_allowed_us   time at which a rate limited endpoint may open its next job
--                           latency_ms        latency of successes, smoothed
--                           latency_floor_ms  lowest recent latency
--                           proven            1 = the last attempt succeeded in less than SLOW_MS
--                           fast_path_floor   while more jobs than this are open, a success only decrements `open`
--   PARKED<endpoint> ZSET   id -> position: the sequence (us) of an unattempted job, the time of its return in ms of an
--                           attempted one. Milliseconds are smaller, so attempted jobs are first.
--
-- A window without open jobs, failures and pauses is deleted. The next job creates it again.
local LATE_US = 500000
local MAX_BATCH = 32

local backfill_queues
local function all_backfill_queues()
  backfill_queues = backfill_queues or redis.call('SMEMBERS', BACKFILL_QUEUES)
  return backfill_queues
end

-- Windows that this script has read, and their endpoints in that order; `flush` saves them.
local windows, read_in_order = {}, {}
local function window_of(endpoint)
  local window = windows[endpoint]
  if not window then
    local stored = redis.call('HMGET', WINDOW .. endpoint, 'open', 'limit', 'failures', 'failing_since_ms',
                              'probe_pause_ms', 'blocked_until_ms', 'next_allowed_us', 'latency_ms',
                              'latency_floor_ms', 'proven')
    window = {
      open = math.max(to_number(stored[1]), 0),
      limit = to_number(stored[2]),
      failures = to_number(stored[3]),
      failing_since_ms = to_number(stored[4]),
      probe_pause_ms = to_number(stored[5]),
      blocked_until_ms = to_number(stored[6]),
      next_allowed_us = to_number(stored[7]),
      latency_ms = tonumber(stored[8] or ''),
      latency_floor_ms = tonumber(stored[9] or ''),
      parked = redis.call('ZCARD', PARKED .. endpoint),
      queued_backfill = #all_backfill_queues() > 0 and redis.call('ZCARD', BACKFILL_QUEUE .. endpoint) or 0,
      is_stored = stored[1],
    }
    if stored[10] then
      window.is_proven = stored[10] == '1'
    else
      window.is_proven = redis.call('SISMEMBER', PROVEN, endpoint) == 1
    end
    window.unproven_stored = window.is_stored and not window.is_proven and window.open or 0
    windows[endpoint] = window
    read_in_order[#read_in_order + 1] = endpoint
  end
  return window
end

-- Returns how many jobs are opened at once: a large window is filled in batches.
local function batch_size(limit)
  return math.max(1, math.min(math.floor(limit / 4), MAX_BATCH))
end

-- Returns when the next job of a rate limited endpoint is due. At most LATE_US of delay are made up for.
local function next_due_us(window)
  return math.max(window.next_allowed_us, now_us - LATE_US)
end

local function add_open(window, count)
  window.open = math.max(window.open + count, 0)
  if not window.is_proven then
    count_unproven(count)
  end
end

local function count_open(window)
  add_open(window, 1)
  if window.interval_us then
    window.next_allowed_us = next_due_us(window) + window.interval_us
    window.changed = true
  end
end

local function uncount_open(window, count)
  add_open(window, -math.min(count, window.open))
end

-- Returns the floor of settle.lua's fast path: a success that leaves more open jobs than this only decrements `open`.
-- '' = no fast path.
local function fast_path_floor(window)
  if window.failing_since_ms > 0 or window.blocked_until_ms > 0 or not window.is_proven or window.next_allowed_us > 0
     or window.has_limits then
    return ''
  end
  if window.parked == 0 and window.queued_backfill == 0 then
    return 0
  end
  local size = batch_size(window.limit)
  return size > 1 and window.open - size or ''
end

local function save_window(endpoint, window)
  local key = WINDOW .. endpoint
  save_unproven(endpoint, window)
  if window.open == 0 and window.failing_since_ms == 0 and window.blocked_until_ms <= now_ms
     and window.next_allowed_us <= now_us then
    if window.is_stored then
      redis.call('DEL', key)
    end
  elseif window.changed then
    redis.call('HSET', key, 'open', window.open, 'limit', window.limit, 'failures', window.failures,
               'failing_since_ms', digits(window.failing_since_ms), 'probe_pause_ms', window.probe_pause_ms,
               'blocked_until_ms', digits(window.blocked_until_ms), 'next_allowed_us', digits(window.next_allowed_us),
               'latency_ms', window.latency_ms or '', 'latency_floor_ms', window.latency_floor_ms or '',
               'proven', window.is_proven and 1 or 0, 'fast_path_floor', fast_path_floor(window))
  else
    redis.call('HSET', key, 'open', window.open, 'limit', window.limit, 'proven', window.is_proven and 1 or 0,
               'fast_path_floor', fast_path_floor(window))
  end
end
