-- requires: wrong_type
-- Adds to remembered blocks the transfers that were not published: no endpoint wanted them then. A reorg rolls those
-- back, too.
--
-- KEYS 1 blocks HASH number -> 'hash parent events'   2 block events HASH number -> events, deflated
-- ARGV number, row, events ('' = none) for each, then the next
-- Returns how many were changed. One that is not remembered, has another hash or as many events is left as it is.
-- A key of another type is an error before anything is done.
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
