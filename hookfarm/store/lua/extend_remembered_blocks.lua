-- requires: clock, wrong_type
-- Adds blocks below all remembered ones of a chain, with their events, so that a reorg that reaches them finds its fork
-- point and rolls them back. And the events of the lowest one: the ingestor began there, and stored it without them.
--
-- KEYS 1 checkpoint STRING   2 blocks HASH number -> 'hash parent events'
--      3 block events HASH number -> events, deflated
-- ARGV 1 number and 2 hash of the lowest block that is remembered   3 how many blocks are
--      then number, row, events ('' = none) for each, ascending, the last of them that block
-- Returns 'extended', or 'moved' if that is not the lowest block any more and nothing was done.
-- A key of another type is an error before anything is done.
local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'hash', KEYS[3], 'hash'})
if wrong then
  return wrong
end
local lowest = redis.call('HGET', KEYS[2], ARGV[1])
local below = digits(tonumber(ARGV[1]) - 1)
if not lowest or string.match(lowest, '^%S+') ~= ARGV[2] or redis.call('HEXISTS', KEYS[2], below) == 1 then
  return 'moved'
end
local checkpoint = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^%d+') or 0)
for i = 4, #ARGV, 3 do
  if tonumber(ARGV[i]) > checkpoint - tonumber(ARGV[3]) then
    redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1])
    if ARGV[i + 2] ~= '' then
      redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 2])
    end
  end
end
return 'extended'
