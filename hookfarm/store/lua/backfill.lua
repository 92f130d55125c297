-- A backfill -> its endpoint's lane: what some blocks became, and the place where it stands behind them, all or nothing.
-- Adds first, so a full server refuses the whole of it and the backfill waits (back-pressure).
--
-- What is delivered or owed already is left out. A block that a reorg may still take away must be one that the ingestor
-- has published, and is entered among what was told of its logs, so that its withdrawal reaches whom it must.
--
-- An endpoint with an order has one backfill at a time: while another one holds it, nothing is handed over.
--
-- KEYS 1 where the backfill stands HASH   2 the chain's blocks HASH number -> 'hash parent events'
-- ARGV 1 name of the backfill   2 endpoint   3 the block it stands at, as the caller has it, '' = before the first
--      4 the last of these blocks, '<number>:<hash>'   5 1 = that must be remembered as published   6 1 = all is read
--      7 blocks   8 events   9 events of which the endpoint was told before
--      10 seconds for which a backfill is remembered that nobody goes on with
--      11 ms for which the endpoint is held, 0 = it has no order
--      then for each log that is wanted: its block ('<chain>:<hash>', '' = nothing is noted of it) and index (a
--      transfer's: t<index>), what was told of it as the caller has it and as it is from now on, the number of its block
--      and the log as it is kept until that is final ('' = it is not), how many jobs, and for each job where it goes
--      ('lane', or '<chain>:<blocks|safe|finalized> <block that has to be reached>'), id, job and the id of the
--      delivery that it must follow, '' = none
-- Returns what became of it and a number:
--      done, of how many logs it had not been told      moved, 0: the backfill stands elsewhere
--      gone, 0: there is no such endpoint      unlinked, 0: another block is published under that number, or none
--      told, which of the logs (from 1): something else was told of it      held, 0: by another backfill
-- A key of another type is an error before anything is done.
local endpoint, stood, stands = ARGV[2], ARGV[3], ARGV[4]
local FIRST, PARTS, JOB_PARTS = 12, 7, 4
local wrong = wrong_type({KEYS[1], 'hash', KEYS[2], 'hash', BACKFILL_QUEUE .. endpoint, 'zset', BACKFILL_JOBS, 'hash', BACKFILL_QUEUES, 'set',
                          LIVE_ACTIVITY, 'string', BACKFILLS, 'zset', JOBS, 'hash', OPEN, 'zset', SEQUENCE, 'string',
                          DELIVERY_QUEUE, 'list', ENDPOINT_LIMITS, 'hash', WINDOW_TIMERS, 'zset', UNCONFIRMED, 'hash', DELIVERED, 'hash',
                          FOLLOW_UPS, 'hash', BACKFILL_LOCK .. endpoint, 'string'})
if wrong then
  return wrong
end
if redis.call('HEXISTS', ENDPOINTS, endpoint) == 0 then
  return {'gone', 0}
end
if (redis.call('HGET', KEYS[1], 'at') or '') ~= stood then
  return {'moved', 0}
end
local number, hash = string.match(stands, '^(%d+):(.*)$')
local published = redis.call('HGET', KEYS[2], number)
if published and string.match(published, '^%S+') ~= hash or not published and ARGV[5] == '1' then
  return {'unlinked', 0}
end

-- Calls it with each log's parts, its place among them (from 1) and that of its first job in ARGV, until it returns
-- something.
local function each_log(what)
  local i, place = FIRST, 1
  while i <= #ARGV do
    local found = what({unpack(ARGV, i, i + PARTS - 1)}, place, i + PARTS)
    if found then
      return found
    end
    i, place = i + PARTS + JOB_PARTS * ARGV[i + PARTS - 1], place + 1
  end
end

local differs = each_log(function(log, place)
  local block, index, told = unpack(log)
  return block ~= '' and (redis.call('HGET', HISTORY .. block, index) or '') ~= told and place
end)
if differs then
  return {'told', differs}
end
if ARGV[11] ~= '0' and not hold(endpoint, ARGV[1], ARGV[11]) then
  return {'held', 0}
end

local function is_known(id)
  return redis.call('HEXISTS', JOBS, id) + redis.call('HEXISTS', DELIVERED, id) + redis.call('HEXISTS', BACKFILL_JOBS, id)
         + redis.call('HEXISTS', UNCONFIRMED, id) > 0
end

redis.call('HSET', KEYS[1], 'at', stands)
local place = tonumber(redis.call('ZRANGE', BACKFILL_QUEUE .. endpoint, -1, -1, 'WITHSCORES')[2] or 0)

-- Whether the job is new; what must follow a delivery that is still to come waits for that one alone.
local function put(block, goes, id, job, original)
  if is_known(id) then
    return false
  end
  if original ~= '' and comes_first(original) then
    return redis.call('HSETNX', FOLLOW_UPS, original, job) == 1
  end
  local line, reached = string.match(goes, '^(%S+) (%S+)$')
  if line then
    wait_for_confirmations(block, line, reached, id, job)
  else
    place = place + 1
    redis.call('HSET', BACKFILL_JOBS, id, job)
    redis.call('ZADD', BACKFILL_QUEUE .. endpoint, place, id)
  end
  return true
end

local added, known = 0, tonumber(ARGV[9])
each_log(function(log, _, first_job)
  local block, index, _, told, of_block, kept, jobs = unpack(log)
  local is_new = jobs == '0'
  if kept ~= '' then
    keep_until_final(block, index, kept, of_block)
  end
  for i = first_job, first_job + JOB_PARTS * (jobs - 1), JOB_PARTS do
    is_new = put(block, unpack(ARGV, i, i + JOB_PARTS - 1)) or is_new
  end
  if block ~= '' and told ~= '' then
    remember(block, index, told)
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
  lanes = nil
  window_of(endpoint)
end
return finish({'done', added})
