-- A backfill -> its endpoint's lane: what some blocks became, and the place where it stands behind them, all or nothing.
-- Adds first, so a full server refuses the whole of it and the backfill waits (back-pressure).
--
-- What is delivered or owed already is left out. A block that a reorg may still take away must be one that the ingestor
-- has published, and is entered among what was told of its logs, so that its withdrawal reaches whom it must.
--
-- KEYS 1 where the backfill stands HASH   2 the chain's blocks HASH number -> 'hash parent events'
-- ARGV 1 name of the backfill   2 endpoint   3 the block it stands at, as the caller has it, '' = before the first
--      4 the last of these blocks, '<number>:<hash>'   5 1 = that must be remembered as published   6 1 = all is read
--      7 blocks   8 events   9 events of which the endpoint was told before
--      10 seconds for which a backfill is remembered that nobody goes on with
--      then for each log that is wanted: its block ('<chain>:<hash>', '' = nothing is noted of it) and index, what was
--      told of it as the caller has it and as it is from now on, where it goes ('lane', or
--      '<chain>:<blocks|safe|finalized> <block that has to be reached>'), id and job
-- Returns what became of it and a number:
--      done, how many jobs were added          moved, 0: the backfill stands elsewhere
--      gone, 0: there is no such endpoint      unlinked, 0: another block is published under that number, or none
--      told, which of the logs (from 1): something else was told of it
-- A key of another type is an error before anything is done.
local endpoint, stood, stands = ARGV[2], ARGV[3], ARGV[4]
local FIRST, PARTS = 11, 7
local TOLD_SECONDS = 86400
local wrong = wrong_type({KEYS[1], 'hash', KEYS[2], 'hash', LANE .. endpoint, 'zset', LANE_JOBS, 'hash', LANES, 'set',
                          LIVE, 'string', BACKFILLS, 'zset', JOBS, 'hash', OPEN, 'zset', SEQUENCE, 'string',
                          DELIVERY_QUEUE, 'list', LIMITS, 'hash', WAKE, 'zset', UNCONFIRMED, 'hash', DELIVERED, 'hash'})
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
for i = FIRST, #ARGV, PARTS do
  if ARGV[i] ~= '' and (redis.call('HGET', SENT .. ARGV[i], ARGV[i + 1]) or '') ~= ARGV[i + 2] then
    return {'told', (i - FIRST) / PARTS + 1}
  end
end

local function is_known(id)
  return redis.call('HEXISTS', JOBS, id) + redis.call('HEXISTS', DELIVERED, id) + redis.call('HEXISTS', LANE_JOBS, id)
         + redis.call('HEXISTS', UNCONFIRMED, id) > 0
end

redis.call('HSET', KEYS[1], 'at', stands)
local last = redis.call('ZRANGE', LANE .. endpoint, -1, -1, 'WITHSCORES')[2]
local place, added, known = tonumber(last or 0), 0, tonumber(ARGV[9])
for i = FIRST, #ARGV, PARTS do
  local block, log, _, told, goes, id, job = unpack(ARGV, i, i + PARTS - 1)
  if block ~= '' and told ~= '' then
    redis.call('HSET', SENT .. block, log, told)
    redis.call('EXPIRE', SENT .. block, TOLD_SECONDS)
  end
  if is_known(id) then
    known = known + 1
  else
    added = added + 1
    local line, wait_for = string.match(goes, '^(%S+) (%S+)$')
    if line then
      redis.call('HSET', UNCONFIRMED, id, job)
      redis.call('ZADD', WAITING .. line, wait_for, id)
    else
      place = place + 1
      redis.call('HSET', LANE_JOBS, id, job)
      redis.call('ZADD', LANE .. endpoint, place, id)
    end
  end
end
redis.call('HINCRBY', KEYS[1], 'blocks', ARGV[7])
redis.call('HINCRBY', KEYS[1], 'events', ARGV[8])
redis.call('HINCRBY', KEYS[1], 'added', added)
redis.call('HINCRBY', KEYS[1], 'known', known)
redis.call('HSET', KEYS[1], 'updated_ms', digits(now_ms))
redis.call('ZADD', BACKFILLS, digits(now_ms), ARGV[1])
if ARGV[6] == '1' then
  redis.call('HSET', KEYS[1], 'done_ms', digits(now_ms))
end
redis.call('EXPIRE', KEYS[1], ARGV[10])
if redis.call('EXISTS', LANE .. endpoint) == 1 then
  redis.call('SADD', LANES, endpoint)
  lanes = nil
  window_of(endpoint)
end
return finish({'done', added})
