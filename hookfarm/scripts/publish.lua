-- Chain -> stream: the events of some blocks and the checkpoint behind them, all or nothing.
-- Adds first, so a full server refuses the whole of it and the chain waits (back-pressure).
--
-- KEYS 1 checkpoint STRING   2 blocks HASH number -> hash   3 stream
-- ARGV 1 the checkpoint the caller expects, '' = none   2 the new checkpoint   3 how many block hashes to keep
--      4 number of blocks   then number, hash for each, ascending   then each event as JSON
-- Returns 1, or 0 where the checkpoint was another one and nothing was done.
-- A key of another type is an error before anything is done: what a script did before it fails stays done.
for i, kind in ipairs({'string', 'hash', 'stream'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= kind then
    return {err = 'WRONGTYPE ' .. KEYS[i] .. ' is a ' .. found .. '; it must be a ' .. kind}
  end
end
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then
  return 0
end
local blocks = tonumber(ARGV[4])
local first_event = 5 + 2 * blocks
for i = first_event, #ARGV do
  redis.call('XADD', KEYS[3], '*', 'event', ARGV[i])
end
local lowest = tonumber(ARGV[5])
local known = current ~= '' and tonumber(string.match(current, '^%d+')) or lowest - 1
for number = lowest, known do
  redis.call('HDEL', KEYS[2], string.format('%.0f', number))
end
for i = 5, first_event - 1, 2 do
  redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
end
local newest = tonumber(ARGV[first_event - 2])
local keep = tonumber(ARGV[3])
for number = math.max(lowest - keep, 0), newest - keep do
  redis.call('HDEL', KEYS[2], string.format('%.0f', number))
end
redis.call('SET', KEYS[1], ARGV[2])
return 1
