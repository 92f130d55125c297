-- requires: clock, job, sequence, window, admission, state_index, history, wrong_type, flush
-- constants: BACKFILL_JOBS, BACKFILL_QUEUE, BACKFILL_QUEUES, DEAD, DELIVERY_QUEUE, ENDPOINT_LIMITS, FOLLOW_UPS
-- constants: HISTORY, JOBS, LIVE_ACTIVITY, OPEN, PARKED, SEQUENCE, UNCONFIRMED, WINDOW_TIMERS
-- Acknowledges stream entries and enqueues their jobs (stream -> queue), all or nothing.
-- The first write is XACK, so the script also runs when Redis is full. XACK returns 0 if another processor has
-- acknowledged the entry; its items are then dropped.
--
-- Each entry with a log has an expected history. Other consumers may be faster, and a reorg may remove and restore a
-- block. If the stored history differs, the entry is not acknowledged; its id and stored history are returned.
--
-- KEYS 1 stream
-- ARGV 1 group    2 number of entries without items, then their ids
--      then for each other entry: its id; the block of its log ('<chain>:<hash>', '' = no log); the log's index
--      (t<index> for a transfer); the log's expected history ('' = none); its new history ('' = unchanged); the number
--      of items; for each item its kind, endpoint, id, job, and a field that depends on the kind:
--        job             ''
--        unconfirmed     '<chain>:<blocks|safe|finalized>' and the block to be reached, separated by a space
--        retraction      ids of the retracted deliveries in sending order, separated by spaces; the job is the removed
--                        notification, '' = none
--        dead            '': the job is a dead letter
--        await_finality  the number of the log's block; the job is the log to store until the block is final,
--                        '' = delete the stored log
-- Returns the number of enqueued jobs, then id and stored history of each entry that was not acknowledged.
-- A job that is already in the ledger is not enqueued again.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'stream', JOBS, 'hash', OPEN, 'zset', SEQUENCE, 'string', DELIVERY_QUEUE, 'list',
                          DEAD, 'zset', ENDPOINT_LIMITS, 'hash', WINDOW_TIMERS, 'zset', FOLLOW_UPS, 'hash',
                          UNCONFIRMED, 'hash', BACKFILL_QUEUES, 'set', BACKFILL_JOBS, 'hash', LIVE_ACTIVITY, 'string'})
if wrong then
  return wrong
end
local group = ARGV[1]

-- Removes a job from its state unless a worker may have attempted it. Returns whether it was removed.
local function remove_unattempted(id, endpoint, job)
  if not is_unattempted(job) then
    return false
  end
  if redis.call('ZREM', PARKED .. endpoint, id) == 1 then
    local window = window_of(endpoint)
    window.parked = redis.call('ZCARD', PARKED .. endpoint)
    return true
  end
  write_pushed()
  local sequence = redis.call('ZSCORE', OPEN, id)
  local element = sequence and list_element(id, digits(tonumber(sequence)))
  if element and redis.call('LREM', DELIVERY_QUEUE, -1, element) == 1 then
    redis.call('ZREM', OPEN, id)
    uncount_open(window_of(endpoint), 1)
    return true
  end
  return false
end

-- Removes an unsent delivery with its follow-up. Returns false if the delivery was or may have been sent.
local function cancel(endpoint, id)
  if redis.call('HDEL', BACKFILL_JOBS, id) == 1 then
    redis.call('ZREM', BACKFILL_QUEUE .. endpoint, id)
  elseif redis.call('HDEL', UNCONFIRMED, id) == 0 then
    local job = redis.call('HGET', JOBS, id)
    if not job or not remove_unattempted(id, endpoint, job) then
      return false
    end
    redis.call('HDEL', JOBS, id)
  end
  redis.call('HDEL', FOLLOW_UPS, id)
  return true
end

local function retract(endpoint, id, job, originals)
  local first, second = string.match(originals, '^(%S+) ?(%S*)$')
  if second ~= '' then
    cancel(endpoint, second)
  end
  if cancel(endpoint, first) then
    return 0
  end
  redis.call('HDEL', FOLLOW_UPS, first)
  if job == '' then
    return 0
  end
  for _, original in ipairs({first, second}) do
    if is_owed(original) then
      redis.call('HSET', FOLLOW_UPS, original, job)
      return 1
    end
  end
  if enter_ledger(id, job) then
    enqueue_or_park(endpoint, id, false)
    return 1
  end
  return 0
end

-- Processes one item; returns the number of enqueued jobs.
local function add(block, log, kind, endpoint, id, job, extra)
  if kind == 'retraction' then
    return retract(endpoint, id, job, extra)
  end
  if kind == 'await_finality' then
    keep_until_final(block, log, job, extra)
    return 0
  end
  if kind == 'unconfirmed' then
    local head, reached = string.match(extra, '^(%S+) (%S+)$')
    add_unconfirmed(block, head, reached, id, job)
    return 0
  end
  if not enter_ledger(id, job) then
    return 0
  end
  if kind == 'dead' then
    add_dead(id, now_ms, job)
    return 0
  end
  enqueue_or_park(endpoint, id, false)
  return 1
end

local without_items = tonumber(ARGV[2])
if without_items > 0 then
  local ids = {unpack(ARGV, 3, 2 + without_items)}
  redis.call('XACK', KEYS[1], group, unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
local answer = {0}
local i = 3 + without_items
while i <= #ARGV do
  local entry, block, log, expected, history, items = unpack(ARGV, i, i + 5)
  i = i + 6
  local current = block ~= '' and redis.call('HGET', HISTORY .. block, log) or ''
  if current ~= expected then
    answer[#answer + 1] = entry
    answer[#answer + 1] = current
  elseif redis.call('XACK', KEYS[1], group, entry) == 1 then
    for item = i, i + 5 * items - 1, 5 do
      answer[1] = answer[1] + add(block, log, unpack(ARGV, item, item + 4))
    end
    if history ~= '' then
      save_history(block, log, history)
    end
    redis.call('XDEL', KEYS[1], entry)
  end
  i = i + 5 * items
end
return flush(answer)
