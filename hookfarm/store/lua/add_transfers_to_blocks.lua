-- requires: wrong_type, remembered_blocks
-- Adds unpublished transfers to remembered blocks, so that a reorg rolls them back, too. When these blocks were
-- published, no endpoint wanted transfers.
--
-- KEYS 1 blocks HASH   2 block events HASH
-- ARGV for each block: its number, then its row, then its events ('' = none)
-- Returns the number of changed blocks. A block stays unchanged if it is not remembered, has another hash, or has at
-- least as many events.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'hash', KEYS[2], 'hash'})
if wrong then
  return wrong
end
local memory, changed = open_memory(KEYS[1], KEYS[2], ARGV[1]), 0
for i = 1, #ARGV, 3 do
  local number, row, events = unpack(ARGV, i, i + 2)
  local known = redis.call('HGET', KEYS[1], number)
  if known and hash_of(known) == hash_of(row) and count_of(row) > count_of(known) then
    forget_events(memory, number)
    remember(memory, number, row, events)
    changed = changed + 1
  end
end
if changed > 0 then
  save_memory(memory)
end
return changed
