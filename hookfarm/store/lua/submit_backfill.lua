-- requires: clock, window, history, endpoint_lock, wrong_type, remembered_blocks, flush
-- constants: BACKFILLS, BACKFILL_JOBS, BACKFILL_LOCK, BACKFILL_QUEUE, BACKFILL_QUEUES, DELIVERED, DELIVERY_QUEUE
-- constants: ENDPOINTS, ENDPOINT_LIMITS, FOLLOW_UPS, HISTORY, JOBS, LIVE_ACTIVITY, OPEN, SEQUENCE, UNCONFIRMED
-- constants: WINDOW_TIMERS
-- Adds the jobs of a batch of blocks to an endpoint's backfill queue and sets the backfill's position, all or nothing.
-- The first write adds, so a full Redis refuses the whole script, and the backfill waits (back-pressure).
--
-- Deliveries that are delivered or owed already are skipped. If a reorg may still replace a block, the ingestor must
-- have published it. Its logs get histories, so that a rollback reaches the endpoint.
--
-- An ordered endpoint has one backfill at a time: only the backfill with its lock submits jobs.
--
-- KEYS 1 state of the backfill HASH   2 the chain's blocks HASH
-- ARGV 1 name of the backfill   2 endpoint   3 expected position of the backfill, '' = before the first block
--      4 last block of the batch, '<number>:<hash>'   5 '1' = that block must be published   6 '1' = last batch
--      7 number of blocks   8 number of logs received from nodes   9 number of events that the endpoint was sent before
--      10 seconds until the state of an abandoned backfill expires
--      11 ms until the endpoint's lock expires, 0 = the endpoint is not ordered
--      then for each matching log: its block ('<chain>:<hash>', '' = the log has no history); its index (t<index> for a
--      transfer); its expected history; its new history ('' = unchanged); the number of its block; the log to store
--      until the block is final ('' = none); the number of jobs; for each job its destination ('queue', or
--      '<chain>:<blocks|safe|finalized> <block to be reached>'), id, job, and the id of the delivery that it follows,
--      '' = none
-- Returns the result and a number:
--      done, number of logs new to the endpoint     moved, 0: the position is not the expected one
--      gone, 0: the endpoint does not exist         unlinked, 0: the last block is not published, or another one is
--      history_changed, index of the log from 1     locked, 0: another backfill has the lock
-- Returns an error, before any write, if a key has the wrong type.
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
if published and hash_of(published) ~= hash_bytes(hash) or not published and ARGV[5] == '1' then
  return {'unlinked', 0}
end

-- Calls `visit` for each log with its fields, its index (from 1), and the position of its first job in ARGV.
-- Stops at the first true result and returns it.
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

-- Adds a job to its destination; returns whether it is new. If the delivery that it follows will still be sent, the job
-- becomes its follow-up instead.
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
redis.call('HINCRBY', KEYS[1], 'received', ARGV[8])
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
