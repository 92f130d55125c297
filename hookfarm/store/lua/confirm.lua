-- requires: job, admission, flush
-- constants: UNCONFIRMED, UNCONFIRMED_BY_BLOCK, UNFINALIZED_BLOCKS
-- Unconfirmed -> open or parked: the jobs whose blocks have been reached.
--
-- A block counts as reached once everything that was in the stream when it was the chain's head has been processed:
-- until then the rollback of a log that waits may still be in the stream. So each head is stored with the stream's last
-- entry (a mark), and counts when the first entry left is a later one.
--
-- KEYS 1 stream   2 heads HASH latest, safe, finalized, no_safe, no_finalized   3 head marks LIST
--      4 confirmed heads HASH
-- ARGV 1 chain   2 how many jobs at most of each head
--      3 and 4 confirmations used for 'safe' and 'finalized' if the chain's nodes do not support them
--      5 how many final blocks at most
-- Returns how many jobs were enqueued, and then the hash of each final block that something waits for.
local MAX_MARKS = 1000

local function parts_of(entry_id)
  local ms, number = string.match(entry_id, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(number)
end

local function is_earlier(one, other)
  local ms, number = parts_of(one)
  local other_ms, other_number = parts_of(other)
  return ms < other_ms or (ms == other_ms and number < other_number)
end

local function last_entry()
  local fields = redis.pcall('XINFO', 'STREAM', KEYS[1])
  for i = 1, #fields, 2 do
    if fields[i] == 'last-generated-id' then
      return fields[i + 1]
    end
  end
  return '0-0'
end

-- A tag without a block yet has reached nothing; a number of blocks replaces it once the chain is known to have none.
local function tagged(latest, block, has_none, confirmations)
  return block or (has_none and latest - confirmations) or -1
end

local latest, safe, finalized, no_safe, no_finalized =
  unpack(redis.call('HMGET', KEYS[2], 'latest', 'safe', 'finalized', 'no_safe', 'no_finalized'))
if latest then
  safe, finalized = tagged(latest, safe, no_safe, ARGV[3]), tagged(latest, finalized, no_finalized, ARGV[4])
  local heads = latest .. ' ' .. safe .. ' ' .. finalized
  local newest = redis.call('LINDEX', KEYS[3], -1) or redis.call('HGET', KEYS[4], 'heads')
  if (not newest or string.match(newest, '^%S+ (.*)$') ~= heads) and redis.call('LLEN', KEYS[3]) < MAX_MARKS then
    redis.call('RPUSH', KEYS[3], last_entry() .. ' ' .. heads)
  end
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local mark = redis.call('LINDEX', KEYS[3], 0)
while mark do
  local entry, blocks, safe_block, finalized_block = string.match(mark, '^(%S+) (%S+) (%S+) (%S+)$')
  if first and not is_earlier(entry, first[1]) then
    break
  end
  redis.call('LPOP', KEYS[3])
  redis.call('HSET', KEYS[4], 'heads', mark, 'blocks', blocks, 'safe', safe_block, 'finalized', finalized_block)
  mark = redis.call('LINDEX', KEYS[3], 0)
end
local enqueued = 0
for _, kind in ipairs({'blocks', 'safe', 'finalized'}) do
  local head = UNCONFIRMED_BY_BLOCK .. ARGV[1] .. ':' .. kind
  local reached = tonumber(redis.call('HGET', KEYS[4], kind) or '-1')
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', head, '-inf', reached, 'LIMIT', 0, ARGV[2])) do
    redis.call('ZREM', head, id)
    local job = redis.call('HGET', UNCONFIRMED, id)
    if job then
      redis.call('HDEL', UNCONFIRMED, id)
      if enter_ledger(id, job) then
        enqueue_or_park(endpoint_of(job), id, false)
        enqueued = enqueued + 1
      end
    end
  end
end
local final = tonumber(redis.call('HGET', KEYS[4], 'finalized') or '-1')
local blocks = redis.call('ZRANGEBYSCORE', UNFINALIZED_BLOCKS .. ARGV[1], '-inf', final, 'LIMIT', 0, ARGV[5])
return flush({enqueued, unpack(blocks)})
