-- Stream -> queue: acknowledge entries and enqueue what became of them, all or nothing.
-- Acknowledges first (0 = somebody else did it: that entry adds nothing), so it also runs when Redis is full.
--
-- An entry that tells of a log is compared with what was told of it before: consumers may be overtaken by others, and
-- a block may go and come back. Where that is not what the caller thinks, the entry is left alone and answered with it.
--
-- KEYS 1 stream
-- ARGV 1 group    2 number of entries that became nothing, then their ids
--      then for each other entry: its id, its log's block ('<chain>:<hash>', '' = no log) and index (a transfer's: t<index>),
--      what was told of the log as the caller has it ('' = nothing) and as it is from now on, how many items, and for each item
--      its kind, endpoint, id, job and
--        job      nothing
--        wait     '<chain>:<blocks|safe|finalized>' and the block that has to be reached, separated by a space
--        removed  the ids of the deliveries that it takes back, in the order in which they are sent, separated by
--                 spaces; without a job the endpoint is not told
--        dead     nothing: a dead letter
--        unfinalized  the number of the log's block; the job is the log as it is kept until that is final, '' = no
--                 longer
-- Returns how many jobs were enqueued, and then id, what was told for each entry that was left alone.
-- A job that is in the ledger already is not enqueued again.
-- A key of another type is an error before anything is done.
local wrong = wrong_type({KEYS[1], 'stream', JOBS, 'hash', OPEN, 'zset', SEQUENCE, 'string', DELIVERY_QUEUE, 'list',
                          DEAD, 'zset', ENDPOINT_LIMITS, 'hash', WINDOW_TIMERS, 'zset', FOLLOW_UPS, 'hash', UNCONFIRMED, 'hash',
                          BACKFILL_QUEUES, 'set', BACKFILL_JOBS, 'hash', LIVE_ACTIVITY, 'string'})
if wrong then
  return wrong
end
local group = ARGV[1]

-- A job that was never in a worker's hands to the end: nobody was told of it.
local function take_back_unsent(id, endpoint, job)
  if not string.find(job, '^{"id":"[^"]*","endpoint":"[^"]*","attempt":1,"payload":') then
    return false
  end
  if redis.call('ZREM', PARKED .. endpoint, id) == 1 then
    local window = window_of(endpoint)
    window.parked = redis.call('ZCARD', PARKED .. endpoint)
    return true
  end
  local sequence = redis.call('ZSCORE', OPEN, id)
  local element = sequence and '{"seq":' .. digits(tonumber(sequence)) .. ',' .. string.sub(job, 2)
  if element and redis.call('LREM', DELIVERY_QUEUE, -1, element) == 1 then
    redis.call('ZREM', OPEN, id)
    leave(window_of(endpoint))
    return true
  end
  return false
end

-- Whether the delivery had not been sent and never will be; what was to follow it is gone with it.
local function never_sent(endpoint, id)
  if redis.call('HDEL', BACKFILL_JOBS, id) == 1 then
    redis.call('ZREM', BACKFILL_QUEUE .. endpoint, id)
  elseif redis.call('HDEL', UNCONFIRMED, id) == 0 then
    local job = redis.call('HGET', JOBS, id)
    if not job or not take_back_unsent(id, endpoint, job) then
      return false
    end
    redis.call('HDEL', JOBS, id)
  end
  redis.call('HDEL', FOLLOW_UPS, id)
  return true
end

local function withdraw(endpoint, id, job, originals)
  local first, second = string.match(originals, '^(%S+) ?(%S*)$')
  if second ~= '' then
    never_sent(endpoint, second)
  end
  if never_sent(endpoint, first) then
    return 0
  end
  redis.call('HDEL', FOLLOW_UPS, first)
  if job == '' then
    return 0
  end
  for _, original in ipairs({first, second}) do
    if owed(original) then
      redis.call('HSET', FOLLOW_UPS, original, job)
      return 1
    end
  end
  if redis.call('HSETNX', JOBS, id, job) == 1 then
    admit(endpoint, id, job, false)
    return 1
  end
  return 0
end

local function enqueue(block, log, kind, endpoint, id, job, extra)
  if kind == 'removed' then
    return withdraw(endpoint, id, job, extra)
  end
  if kind == 'unfinalized' then
    keep_until_final(block, log, job, extra)
    return 0
  end
  if kind == 'wait' then
    local line, reached = string.match(extra, '^(%S+) (%S+)$')
    wait_for_confirmations(block, line, reached, id, job)
    return 0
  end
  if redis.call('HSETNX', JOBS, id, job) == 0 then
    return 0
  end
  if kind == 'dead' then
    enter_dead(id, now_ms, job)
    return 0
  end
  admit(endpoint, id, job, false)
  return 1
end

local plain = tonumber(ARGV[2])
if plain > 0 then
  local ids = {unpack(ARGV, 3, 2 + plain)}
  redis.call('XACK', KEYS[1], group, unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
local answer = {0}
local i = 3 + plain
while i <= #ARGV do
  local entry, block, log, expected, told, items = unpack(ARGV, i, i + 5)
  i = i + 6
  local before = block ~= '' and redis.call('HGET', HISTORY .. block, log) or ''
  if before ~= expected then
    answer[#answer + 1] = entry
    answer[#answer + 1] = before
  elseif redis.call('XACK', KEYS[1], group, entry) == 1 then
    for item = i, i + 5 * items - 1, 5 do
      answer[1] = answer[1] + enqueue(block, log, unpack(ARGV, item, item + 4))
    end
    if told ~= '' then
      remember(block, log, told)
    end
    redis.call('XDEL', KEYS[1], entry)
  end
  i = i + 5 * items
end
return finish(answer)
