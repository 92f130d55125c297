-- requires: clock, wrong_type
-- Publishes the events of blocks and sets the checkpoint (chain -> stream), all or nothing.
-- The first write adds, so a full Redis refuses the whole script, and the ingestor waits (back-pressure).
--
-- KEYS 1 checkpoint STRING   2 stream   3 blocks HASH number -> 'hash parent events'
--      4 block events HASH number -> events, deflated   5 heads HASH
--      6 SET of the endpoints that want transfers
-- ARGV 1 expected checkpoint, '' = none   2 new checkpoint   3 number of blocks to remember
--      4 '1' = the events include the blocks' transfers
--      5 events as JSON, one per line; separate arguments would cost both sides half as much again
--      then number, row, events ('' = do not store them) for each block, ascending
-- Returns 'published', or 'published_transfers_wanted' if an endpoint wants transfers. Returns 'refused', without any
-- write, if the checkpoint is not the expected one, or if wanted transfers are missing.
-- Returns an error, before any write, if a key has the wrong type.
local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'stream', KEYS[3], 'hash', KEYS[4], 'hash', KEYS[5], 'hash',
                          KEYS[6], 'set'})
if wrong then
  return wrong
end
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then
  return 'refused'
end
local transfers_wanted = redis.call('EXISTS', KEYS[6]) == 1
if transfers_wanted and ARGV[4] ~= '1' then
  return 'refused'
end
local events, from = ARGV[5], 1
while from <= #events do
  local newline = string.find(events, '\n', from, true) or #events + 1
  redis.call('XADD', KEYS[2], '*', 'event', string.sub(events, from, newline - 1))
  from = newline + 1
end
for i = 6, #ARGV, 3 do
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
  if ARGV[i + 2] ~= '' then
    redis.call('HSET', KEYS[4], ARGV[i], ARGV[i + 2])
  end
end
-- From the old checkpoint on: numbers without a block (null rounds) have no row of their own.
local from_number, newest = tonumber(string.match(current, '^%d+') or ARGV[6] - 1) + 1, tonumber(ARGV[#ARGV - 2])
local keep = tonumber(ARGV[3])
for number = math.max(from_number - keep, 0), newest - keep do
  redis.call('HDEL', KEYS[3], digits(number))
  redis.call('HDEL', KEYS[4], digits(number))
end
redis.call('HSET', KEYS[5], 'latest', ARGV[#ARGV - 2])
redis.call('SET', KEYS[1], ARGV[2])
return transfers_wanted and 'published_transfers_wanted' or 'published'
