-- requires: job, admission, flush
-- constants: UNCONFIRMED, UNCONFIRMED_BY_BLOCK, UNFINALIZED_BLOCKS
-- Enqueues or parks unconfirmed jobs whose block a confirmed head has reached.
--
-- A head confirms jobs only after all earlier stream entries are processed: one of them may withdraw the event of a
-- waiting job. So each head is stored with the stream's last entry (a mark). The head is confirmed when the first entry
-- of the stream is later than its mark.
--
-- KEYS 1 stream   2 heads HASH latest, safe, finalized, no_safe, no_finalized   3 head marks LIST
--      4 confirmed heads HASH
-- ARGV 1 chain   2 maximum number of jobs per head
--      3 and 4 confirmations that replace 'safe' and 'finalized' if the chain's nodes do not support them
--      5 maximum number of final blocks
-- Returns the number of enqueued jobs, then the hash of each final block in UNFINALIZED_BLOCKS.
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

-- Returns the block of a tag; `latest - confirmations` if the chain does not support the tag; -1 if it is unknown yet.
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
