-- requires: clock, wrong_type
-- A reorg, or a step of one: withdraws the events of orphaned blocks and moves the checkpoint back to an ancestor, all
-- or nothing. Adds first, as publish does.
--
-- KEYS 1 checkpoint STRING   2 stream   3 blocks HASH number -> 'hash parent events'
--      4 block events HASH number -> their events, deflated   5 heads HASH   6 head marks LIST
--      7 confirmed heads HASH
-- ARGV 1 the checkpoint the caller expects   2 the new one   then each withdrawn event as JSON, the newest first
-- Returns 'rolled_back', or 'refused' if the checkpoint was another one and nothing was done.
-- A key of another type is an error before anything is done.
local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'stream', KEYS[3], 'hash', KEYS[4], 'hash', KEYS[5], 'hash',
                          KEYS[6], 'list', KEYS[7], 'hash'})
if wrong then
  return wrong
end
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then
  return 'refused'
end
for i = 3, #ARGV do
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[i])
end
local target, hash = string.match(ARGV[2], '^(%d+):(.*)$')
for number = tonumber(target) + 1, tonumber(string.match(current, '^%d+')) do
  redis.call('HDEL', KEYS[3], digits(number))
  redis.call('HDEL', KEYS[4], digits(number))
end
redis.call('HSETNX', KEYS[3], target, hash .. '  0')
for _, tag in ipairs({'safe', 'finalized'}) do
  local block = redis.call('HGET', KEYS[5], tag)
  if block and tonumber(block) > tonumber(target) then
    redis.call('HSET', KEYS[5], tag, target)
  end
end
redis.call('HSET', KEYS[5], 'latest', target)

-- Heads of the branch that is left confirm nothing on the next one, be they marks or confirmed already.
local function lowered(number)
  return digits(math.min(tonumber(number) or -1, tonumber(target)))
end
for i, mark in ipairs(redis.call('LRANGE', KEYS[6], 0, -1)) do
  local entry, blocks, safe, finalized = string.match(mark, '^(%S+) (%S+) (%S+) (%S+)$')
  if entry then
    local lower = table.concat({entry, lowered(blocks), lowered(safe), lowered(finalized)}, ' ')
    redis.call('LSET', KEYS[6], i - 1, lower)
  end
end
for _, kind in ipairs({'blocks', 'safe', 'finalized'}) do
  local confirmed = redis.call('HGET', KEYS[7], kind)
  if confirmed then
    redis.call('HSET', KEYS[7], kind, lowered(confirmed))
  end
end
redis.call('HDEL', KEYS[7], 'heads')
redis.call('SET', KEYS[1], ARGV[2])
return 'rolled_back'
