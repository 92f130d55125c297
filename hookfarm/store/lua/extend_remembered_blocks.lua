-- requires: clock, wrong_type, remembered_blocks
-- Adds blocks below the lowest remembered block of a chain, with their events. A reorg that reaches them then finds its
-- fork point and rolls them back. Adds the events of the lowest block, too: the ingestor stored its first block without
-- events.
--
-- KEYS 1 checkpoint STRING   2 blocks HASH   3 block events HASH
-- ARGV 1 number and 2 hash of the lowest remembered block   3 maximum number of remembered blocks
--      then number, row, events ('' = none) for each block, ascending; the last one is the lowest remembered block
-- Returns 'extended', or 'moved', without any write, if the lowest remembered block has changed.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'hash', KEYS[3], 'hash'})
if wrong then
  return wrong
end
local lowest = redis.call('HGET', KEYS[2], ARGV[1])
local below = digits(tonumber(ARGV[1]) - 1)
if not lowest or hash_of(lowest) ~= hash_bytes(ARGV[2]) or redis.call('HEXISTS', KEYS[2], below) == 1 then
  return 'moved'
end
local checkpoint = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^%d+') or 0)
local memory = open_memory(KEYS[2], KEYS[3], ARGV[1])
for i = 4, #ARGV, 3 do
  if tonumber(ARGV[i]) > checkpoint - tonumber(ARGV[3]) then
    remember(memory, ARGV[i], ARGV[i + 1], ARGV[i + 2])
  end
end
save_memory(memory)
return 'extended'
