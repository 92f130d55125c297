-- requires: clock, window, history, endpoint_lock, wrong_type, flush
-- constants: BACKFILLS, BACKFILL_JOBS, BACKFILL_LOCK, BACKFILL_QUEUE, BACKFILL_QUEUES, DELIVERED, DELIVERY_QUEUE
-- constants: ENDPOINTS, ENDPOINT_LIMITS, FOLLOW_UPS, HISTORY, JOBS, LIVE_ACTIVITY, OPEN, SEQUENCE, UNCONFIRMED
-- constants: WINDOW_TIMERS
-- A backfill -> its endpoint's backfill queue: the jobs of some blocks, and the position behind them, all or nothing.
-- Adds first, so a full server refuses the whole of it and the backfill waits (back-pressure).
--
-- Deliveries that were delivered or are owed already are left out. A block that a reorg may still replace must be one
-- that the ingestor has published, and is entered in the histories of its logs, so that its rollback reaches the
-- endpoint.
--
-- An ordered endpoint has one backfill at a time: while another one has locked it, nothing is submitted.
--
-- KEYS 1 state of the backfill HASH   2 the chain's blocks HASH number -> 'hash parent events'
-- ARGV 1 name of the backfill   2 endpoint   3 the block it is at, as the caller has it, '' = before the first
--      4 the last of these blocks, '<number>:<hash>'   5 1 = that must be a published one   6 1 = all is read
--      7 blocks   8 events   9 events that the endpoint was sent before
--      10 seconds after which an abandoned backfill is forgotten
--      11 ms for which the endpoint is locked, 0 = it is not ordered
--      then for each log that matches: its block ('<chain>:<hash>', '' = it has no history) and index (a transfer's:
--      t<index>), its history as the caller has it and as it is from now on, the number of its block and the log as it
--      is kept until that is final ('' = it is not), how many jobs, and for each job where it goes ('queue', or
--      '<chain>:<blocks|safe|finalized> <block that has to be reached>'), id, job and the id of the delivery that it
--      must follow, '' = none
-- Returns the result and a number:
--      done, of how many logs it had not been sent anything      moved, 0: the backfill is at another block
--      gone, 0: there is no such endpoint      unlinked, 0: another block is published with that number, or none
--      history_changed, which of the logs (from 1)      locked, 0: by another backfill
-- A key of another type is an error before anything is done.
local endpoint, expected_position, position = ARGV[2], ARGV[3], ARGV[4]
local FIRST, PARTS, JOB_PARTS = 12, 7, 4
local wrong = wrong_type({KEYS[1], 'hash', KEYS[2], 'hash', BACKFILL_QUEUE .. endpoint, 'zset', BACKFILL_JOBS, 'hash',
                          BACKFILL_QUEUES, 'set', LIVE_ACTIVITY, 'string', BACKFILLS, 'zset', JOBS, 'hash',
                          OPEN, 'zset', SEQUENCE, 'string', DELIVERY_QUEUE, 'list', ENDPOINT_LIMITS, 'hash',
                          WINDOW_TIMERS, 'zset', UNCONFIRMED, 'hash', DELIVERED, 'hash', FOLLOW_UPS, 'hash',
                          BACKFILL_LOCK .. endpoint, 'string'})
if wrong then
  return wrong
end
if redis.call('HEXISTS', ENDPOINTS, endpoint) == 0 then
  return {'gone', 0}
end
if (redis.call('HGET', KEYS[1], 'at') or '') ~= expected_position then
  return {'moved', 0}
end
local number, hash = string.match(position, '^(%d+):(.*)$')
local published = redis.call('HGET', KEYS[2], number)
if published and string.match(published, '^%S+') ~= hash or not published and ARGV[5] == '1' then
  return {'unlinked', 0}
end

-- Calls `visit` with each log's parts, its index among them (from 1) and that of its first job in ARGV, until it
-- returns something.
local function each_log(visit)
  local i, index = FIRST, 1
  while i <= #ARGV do
    local found = visit({unpack(ARGV, i, i + PARTS - 1)}, index, i + PARTS)
    if found then
      return found
    end
    i, index = i + PARTS + JOB_PARTS * ARGV[i + PARTS - 1], index + 1
  end
end

local changed = each_log(function(parts, index)
  local block, log, history = unpack(parts)
  return block ~= '' and (redis.call('HGET', HISTORY .. block, log) or '') ~= history and index
end)
if changed then
  return {'history_changed', changed}
end
if ARGV[11] ~= '0' and not lock_endpoint(endpoint, ARGV[1], ARGV[11]) then
  return {'locked', 0}
end

local function is_known(id)
  return redis.call('HEXISTS', JOBS, id)
         + redis.call('HEXISTS', BACKFILL_JOBS, id) + redis.call('HEXISTS', UNCONFIRMED, id) > 0
end

redis.call('HSET', KEYS[1], 'at', position)
local last = tonumber(redis.call('ZRANGE', BACKFILL_QUEUE .. endpoint, -1, -1, 'WITHSCORES')[2] or 0)

-- Returns whether the job is new. One that follows a delivery that is still to come waits for that one alone.
local function submit(block, destination, id, job, original)
  if is_known(id) then
    return false
  end
  if original ~= '' and is_to_come(original) then
    return redis.call('HSETNX', FOLLOW_UPS, original, job) == 1
  end
  local head, reached = string.match(destination, '^(%S+) (%S+)$')
  if head then
    add_unconfirmed(block, head, reached, id, job)
  else
    last = last + 1
    redis.call('HSET', BACKFILL_JOBS, id, job)
    redis.call('ZADD', BACKFILL_QUEUE .. endpoint, last, id)
  end
  return true
end

local added, known = 0, tonumber(ARGV[9])
each_log(function(parts, _, first_job)
  local block, log, _, history, block_number, kept, jobs = unpack(parts)
  local is_new = jobs == '0'
  if kept ~= '' then
    keep_until_final(block, log, kept, block_number)
  end
  for i = first_job, first_job + JOB_PARTS * (jobs - 1), JOB_PARTS do
    is_new = submit(block, unpack(ARGV, i, i + JOB_PARTS - 1)) or is_new
  end
  if block ~= '' and history ~= '' then
    save_history(block, log, history)
  end
  if is_new then
    added = added + 1
  else
    known = known + 1
  end
end)
redis.call('HINCRBY', KEYS[1], 'blocks', ARGV[7])
redis.call('HINCRBY', KEYS[1], 'events', ARGV[8])
redis.call('HINCRBY', KEYS[1], 'added', added)
redis.call('HINCRBY', KEYS[1], 'known', known)
redis.call('HSET', KEYS[1], 'updated_ms', digits(now_ms))
redis.call('ZADD', BACKFILLS, digits(now_ms), ARGV[1])
if ARGV[6] == '1' then
  redis.call('HSET', KEYS[1], 'done_ms', digits(now_ms))
  redis.call('DEL', BACKFILL_LOCK .. endpoint)
end
redis.call('EXPIRE', KEYS[1], ARGV[10])
if redis.call('EXISTS', BACKFILL_QUEUE .. endpoint) == 1 then
  redis.call('SADD', BACKFILL_QUEUES, endpoint)
  backfill_queues = nil
  window_of(endpoint)
end
return flush({'done', added})
