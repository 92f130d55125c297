-- Waiting -> open or parked: the jobs whose blocks have been reached.
--
-- A block counts as reached once everything that was in the stream when it was the chain's head has been handed off:
-- until then the withdrawal of a log that waits may still be in the stream. So each head is noted with the stream's
-- last entry, and counts when the first entry left is a later one.
--
-- KEYS 1 stream   2 heads HASH latest, safe, finalized, no_safe, no_finalized   3 marks LIST   4 reached HASH
-- ARGV 1 chain   2 how many jobs at most of each kind
--      3 and 4 confirmations that stand for 'safe' and 'finalized' where the chain's nodes do not tell
--      5 how many final blocks at most
-- Returns how many jobs were enqueued, and then the hash of each final block of which something waits for that.
local MOST_MARKS = 1000

local function number(text)
  local ms, rest = string.match(text, '^(%d+)-(%d+)$')
  return tonumber(ms), tonumber(rest)
end

local function earlier(one, other)
  local ms, rest = number(one)
  local other_ms, other_rest = number(other)
  return ms < other_ms or (ms == other_ms and rest < other_rest)
end

local function last_entry()
  local facts = redis.pcall('XINFO', 'STREAM', KEYS[1])
  for i = 1, #facts, 2 do
    if facts[i] == 'last-generated-id' then
      return facts[i + 1]
    end
  end
  return '0-0'
end

-- A tag that was not told yet has reached nothing; a number of blocks stands for it once the chain is known to have none.
local function tagged(latest, told, has_none, blocks)
  return told or (has_none and latest - blocks) or -1
end

local latest, safe, finalized, no_safe, no_finalized =
  unpack(redis.call('HMGET', KEYS[2], 'latest', 'safe', 'finalized', 'no_safe', 'no_finalized'))
if latest then
  safe, finalized = tagged(latest, safe, no_safe, ARGV[3]), tagged(latest, finalized, no_finalized, ARGV[4])
  local heads = latest .. ' ' .. safe .. ' ' .. finalized
  local newest = redis.call('LINDEX', KEYS[3], -1) or redis.call('HGET', KEYS[4], 'heads')
  if (not newest or string.match(newest, '^%S+ (.*)$') ~= heads) and redis.call('LLEN', KEYS[3]) < MOST_MARKS then
    redis.call('RPUSH', KEYS[3], last_entry() .. ' ' .. heads)
  end
end
local first = redis.call('XRANGE', KEYS[1], '-', '+', 'COUNT', 1)[1]
local mark = redis.call('LINDEX', KEYS[3], 0)
while mark do
  local entry, blocks, safe_block, finalized_block = string.match(mark, '^(%S+) (%S+) (%S+) (%S+)$')
  if first and not earlier(entry, first[1]) then
    break
  end
  redis.call('LPOP', KEYS[3])
  redis.call('HSET', KEYS[4], 'heads', mark, 'blocks', blocks, 'safe', safe_block, 'finalized', finalized_block)
  mark = redis.call('LINDEX', KEYS[3], 0)
end
local enqueued = 0
for _, kind in ipairs({'blocks', 'safe', 'finalized'}) do
  local line = UNCONFIRMED_BY_BLOCK .. ARGV[1] .. ':' .. kind
  local reached = tonumber(redis.call('HGET', KEYS[4], kind) or '-1')
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', line, '-inf', reached, 'LIMIT', 0, ARGV[2])) do
    redis.call('ZREM', line, id)
    local job = redis.call('HGET', UNCONFIRMED, id)
    if job then
      redis.call('HDEL', UNCONFIRMED, id)
      if redis.call('HSETNX', JOBS, id, job) == 1 then
        admit(endpoint_of(job) or '', id, job, false)
        enqueued = enqueued + 1
      end
    end
  end
end
local final = tonumber(redis.call('HGET', KEYS[4], 'finalized') or '-1')
return finish({enqueued, unpack(redis.call('ZRANGEBYSCORE', UNFINALIZED_BLOCKS .. ARGV[1], '-inf', final, 'LIMIT', 0, ARGV[5]))})
