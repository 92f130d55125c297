-- requires: delivery_log
-- constants: DELIVERED, FOLLOW_UPS, JOBS, OPEN, PARKED, SLOW_MS, WINDOW
-- Settles a batch of jobs: moves each to the delivery log, retry, parked, the list or dead.
--
-- The jobs of one endpoint are settled together, under a pcall: a damaged key affects only its endpoint. The keys of an
-- endpoint are read before the first write, so that an error leaves its jobs unchanged.
-- A full Redis refuses the delivery log. It is written first; if it is refused, jobs are settled without it.
--
-- ARGV 1 maximum number of attempts in an endpoint's log, 0 = no log
--      2 ms of failures without a success after which an endpoint must be disabled
--      then for each job: kind, id, sequence at the pop, endpoint, job, number of the attempt, status, duration in ms,
--      ms until the next attempt ('' = none); the kind is
--        delivered   valid even if the job was requeued, failed or died meanwhile; job is the outcome as JSON
--        unhealthy, healthy   the attempt failed, with this effect on the endpoint's circuit breaker
--        unknown     an attempt was impossible
--                    For these three, job is the job with this outcome; without a next attempt it becomes dead.
--        returned    unattempted or interrupted: back to the list; job '' = unchanged
--        parked      unattempted: the endpoint is disabled
-- Returns for each job one of
--      settled            done
--      disable_endpoint   done; the endpoint must be disabled
--      stale              not done: the job was requeued with another sequence
--      error <message>    not done
--
-- A delivery to a healthy endpoint whose next jobs need not be opened yet takes a fast path. The other settlements load
-- further parts.
local FIRST, FIELDS = 3, 9
local KIND, ID, POPPED_AS, ENDPOINT, JOB, NUMBER, STATUS, DURATION, RETRY_IN = 0, 1, 2, 3, 4, 5, 6, 7, 8
local keep = tonumber(ARGV[1])
local results, groups, endpoints = {}, {}, {}
for i = FIRST, #ARGV, FIELDS do
  local endpoint = ARGV[i + ENDPOINT]
  if not groups[endpoint] then
    groups[endpoint] = {}
    endpoints[#endpoints + 1] = endpoint
  end
  table.insert(groups[endpoint], i)
end

local function answer(i, result)
  results[(i - FIRST) / FIELDS + 1] = result
end

local is_log_refused = keep == 0
local log_lengths = {}

local function log_results(endpoint, attempts, delivered)
  local earlier, length = log_lengths[endpoint], log_attempts(endpoint, attempts, delivered)
  log_lengths[endpoint] = {before = earlier and earlier.before or length.before, now = length.now}
end

-- Records delivered jobs in the delivery log. The jobs stay in the ledger.
local function finish(endpoint, group)
  local ids, outcomes, attempts = {}, {}, {}
  for n, i in ipairs(group) do
    local id, number = ARGV[i + ID], ARGV[i + NUMBER]
    ids[n] = id
    outcomes[2 * n - 1], outcomes[2 * n] = id, DONE .. number .. ',"outcome":' .. ARGV[i + JOB] .. '}'
    attempts[n] = {id, number, ARGV[i + STATUS], ARGV[i + DURATION]}
  end
  if not is_log_refused then
    local refused = redis.pcall('HSET', DELIVERED, unpack(outcomes))
    is_log_refused = type(refused) == 'table' and refused.err ~= nil
  end
  redis.call('ZREM', OPEN, unpack(ids))
  if is_log_refused then
    redis.call('HDEL', JOBS, unpack(ids))
  else
    log_results(endpoint, attempts, 1)
  end
  for _, i in ipairs(group) do
    answer(i, 'settled')
  end
end

local has_follow_ups = redis.call('EXISTS', FOLLOW_UPS) == 1

-- Returns whether only the number of open jobs changes in the endpoint's window (the fast path).
local function is_plain(endpoint, group)
  local ids = {}
  for n, i in ipairs(group) do
    if ARGV[i + KIND] ~= 'delivered' or tonumber(ARGV[i + DURATION]) >= SLOW_MS then
      return false
    end
    ids[n] = ARGV[i + ID]
  end
  local open, floor = unpack(redis.call('HMGET', WINDOW .. endpoint, 'open', 'fast_path_floor'))
  floor = tonumber(floor or '')
  if not floor or tonumber(open) - #group <= floor then
    return false
  end
  for _, sequence in ipairs(redis.call('ZMSCORE', OPEN, unpack(ids))) do
    if not sequence then
      return false
    end
  end
  return true
end

local rest = {}
for _, endpoint in ipairs(endpoints) do
  local group = groups[endpoint]
  local is_readable, plain = pcall(is_plain, endpoint, group)
  if is_readable and plain and not has_follow_ups then
    finish(endpoint, group)
    redis.call('HINCRBY', WINDOW .. endpoint, 'open', -#group)
  else
    rest[#rest + 1] = endpoint
  end
end
local is_log_bounded = true
for _, length in pairs(log_lengths) do
  is_log_bounded = is_log_bounded and length.before > 0 and length.now <= keep
end
if #rest == 0 and is_log_bounded then
  return results
end
-- requires from here: clock, sequence, window, free_window, circuit, admission, state_index, operational_events
-- requires from here: delivery_log_trim, flush
local disable_after_ms = tonumber(ARGV[2])

-- Removes a job from retry, dead or parked: it was requeued and failed while its first worker still delivered it.
local function remove_owed(endpoint, window, id)
  if remove_retry(id, endpoint) + remove_dead(id, redis.call('HGET', JOBS, id)) > 0 then
    return true
  end
  if redis.call('ZREM', PARKED .. endpoint, id) == 1 then
    window.parked = redis.call('ZCARD', PARKED .. endpoint)
    return true
  end
  return false
end

local function settle_delivered(endpoint, window, group)
  local finished, open, longest_ms = {}, 0, 0
  for _, i in ipairs(group) do
    local is_open = redis.call('ZSCORE', OPEN, ARGV[i + ID])
    if is_open then
      open = open + 1
      longest_ms = math.max(longest_ms, tonumber(ARGV[i + DURATION]))
    end
    if is_open or remove_owed(endpoint, window, ARGV[i + ID]) then
      finished[#finished + 1] = i
    end
    answer(i, 'settled')
  end
  if #finished > 0 then
    finish(endpoint, finished)
  end
  if open > 0 then
    uncount_open(window, open)
    record_result(endpoint, window, 'delivered', longest_ms, open)
  end
  for _, i in ipairs(has_follow_ups and group or {}) do
    on_terminal(ARGV[i + ID])
  end
end

local function settle_failed(endpoint, window, i)
  local id, job, duration_ms, health = ARGV[i + ID], ARGV[i + JOB], ARGV[i + DURATION], ARGV[i + KIND]
  local retry_in_ms = tonumber(ARGV[i + RETRY_IN])
  redis.call('ZREM', OPEN, id)
  redis.call('HSET', JOBS, id, job)
  uncount_open(window, 1)
  record_result(endpoint, window, health, tonumber(duration_ms), 1)
  load_limits(endpoint, window)
  if not retry_in_ms then
    add_dead(id, now_ms, job)
    record_event('hookfarm.delivery.dead', now_us, endpoint, {delivery = id})
    on_terminal(id)
  elseif window.ordered then
    local head = redis.call('ZRANGE', PARKED .. endpoint, 0, 0, 'WITHSCORES')[2]
    park(endpoint, window, id, string.format('%.3f', math.min(now_us / 1000, (tonumber(head) or now_us) - 1)))
    window.blocked_until_ms = math.max(window.blocked_until_ms, now_ms + retry_in_ms)
    window.changed = true
  else
    add_retry(id, now_ms + retry_in_ms, endpoint)
  end
  if health == 'unknown' then
    return 'settled'
  end
  if not is_log_refused then
    log_results(endpoint, {{id, ARGV[i + NUMBER], ARGV[i + STATUS], duration_ms}}, 0)
  end
  return now_ms - window.failing_since_ms >= disable_after_ms and 'disable_endpoint' or 'settled'
end

local function settle_unattempted(endpoint, window, i)
  local id, job = ARGV[i + ID], ARGV[i + JOB]
  redis.call('ZREM', OPEN, id)
  if ARGV[i + KIND] == 'parked' then
    uncount_open(window, 1)
    park(endpoint, window, id, digits(now_ms))
  else
    if job ~= '' then
      redis.call('HSET', JOBS, id, job)
    end
    push(id)
  end
  return 'settled'
end

local function settle_group(endpoint, group)
  local window, delivered = window_of(endpoint), {}
  for _, i in ipairs(group) do
    local kind = ARGV[i + KIND]
    if kind == 'delivered' then
      delivered[#delivered + 1] = i
    elseif not is_open_as(ARGV[i + ID], ARGV[i + POPPED_AS]) then
      answer(i, 'stale')
    elseif kind == 'returned' or kind == 'parked' then
      answer(i, settle_unattempted(endpoint, window, i))
    else
      answer(i, settle_failed(endpoint, window, i))
    end
  end
  settle_delivered(endpoint, window, delivered)
  finish_window(endpoint, window)
end

for _, endpoint in ipairs(rest) do
  local is_settled, problem = pcall(settle_group, endpoint, groups[endpoint])
  if not is_settled then
    windows[endpoint] = nil
    for _, i in ipairs(groups[endpoint]) do
      answer(i, 'error ' .. (type(problem) == 'table' and problem.err or tostring(problem)))
    end
  end
end
for endpoint, length in pairs(log_lengths) do
  bound_log(endpoint, length, keep)
end
return flush(results)
