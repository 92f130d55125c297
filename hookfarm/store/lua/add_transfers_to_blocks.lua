-- requires: wrong_type
-- Adds unpublished transfers to remembered blocks, so that a reorg rolls them back, too. When these blocks were
-- published, no endpoint wanted transfers.
--
-- KEYS 1 blocks HASH number -> 'hash parent events'   2 block events HASH number -> events, deflated
-- ARGV number, row, events ('' = none) for each block
-- Returns the number of changed blocks. A block stays unchanged if it is not remembered, has another hash, or has at
-- least as many events.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'hash', KEYS[2], 'hash'})
if wrong then
  return wrong
end
local changed = 0
for i = 1, #ARGV, 3 do
  local number, row, events = unpack(ARGV, i, i + 2)
  local known = redis.call('HGET', KEYS[1], number)
  local hash, _, count = string.match(row, '^(%S+) (%S*) (%d+)$')
  if known and string.match(known, '^%S+') == hash
     and tonumber(count) > tonumber(string.match(known, '(%d+)$') or 0) then
    redis.call('HSET', KEYS[1], number, row)
    redis.call('HSET', KEYS[2], number, events)
    changed = changed + 1
  end
end
return changed
