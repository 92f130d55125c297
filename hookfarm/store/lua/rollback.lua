-- requires: clock, wrong_type, remembered_blocks
-- constants: OPERATIONAL_EVENTS, OPERATIONAL_SUBSCRIPTIONS
-- Performs a rollback or one step of it, all or nothing: withdraws the events of replaced blocks and moves the
-- checkpoint back to an ancestor. The first write adds, as in publish.lua.
--
-- KEYS 1 checkpoint STRING   2 stream   3 blocks HASH   4 block events HASH   5 heads HASH
--      6 head marks LIST   7 confirmed heads HASH
-- ARGV 1 expected checkpoint   2 new checkpoint   3 the operational event about events that cannot be withdrawn, as
--      JSON; '' = none   then each withdrawn event as JSON, newest first
-- Returns 'rolled_back', or 'refused', without any write, if the checkpoint is not the expected one.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'stream', KEYS[3], 'hash', KEYS[4], 'hash', KEYS[5], 'hash',
                          KEYS[6], 'list', KEYS[7], 'hash', OPERATIONAL_EVENTS, 'list'})
if wrong then
  return wrong
end
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then
  return 'refused'
end
for i = 4, #ARGV do
  redis.call('XADD', KEYS[2], '*', 'event', ARGV[i])
end
if ARGV[3] ~= '' and redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 1 then
  redis.call('RPUSH', OPERATIONAL_EVENTS, ARGV[3])
end
local target, hash = string.match(ARGV[2], '^(%d+):(.*)$')
local memory = open_memory(KEYS[3], KEYS[4], target)
forget_above(memory, tonumber(target), tonumber(string.match(current, '^%d+')))
if redis.call('HEXISTS', KEYS[3], target) == 0 then
  remember(memory, target, hash_bytes(hash) .. hash_bytes('') .. struct.pack('>I4', 0), '')
end
save_memory(memory)
for _, tag in ipairs({'safe', 'finalized'}) do
  local block = redis.call('HGET', KEYS[5], tag)
  if block and tonumber(block) > tonumber(target) then
    redis.call('HSET', KEYS[5], tag, target)
  end
end
redis.call('HSET', KEYS[5], 'latest', target)

-- Marks and confirmed heads of the old branch must not confirm jobs of the new branch: lower them to the ancestor.
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
