-- requires: wrong_type
-- Chain -> jobs that wait for it: the block that it calls safe, or finalized. Only published blocks count: not above
-- the checkpoint, and not of another branch, wherever the checkpoint has moved since the chain was asked.
--
-- KEYS 1 checkpoint STRING   2 blocks HASH number -> 'hash parent events'   3 heads HASH
-- ARGV tag, number, hash for each; number '' = the chain has no such tag
-- Returns 'set'.
-- A key of another type is an error before anything is done.
local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'hash', KEYS[3], 'hash'})
if wrong then
  return wrong
end
local checkpoint = tonumber(string.match(redis.call('GET', KEYS[1]) or '', '^%d+') or '-1')
for i = 1, #ARGV, 3 do
  local tag, number, hash = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if number == '' then
    redis.call('HDEL', KEYS[3], tag)
    redis.call('HSET', KEYS[3], 'no_' .. tag, 1)
  elseif tonumber(number) <= checkpoint then
    local published = redis.call('HGET', KEYS[2], number)
    if not published or string.match(published, '^%S*') == hash then
      redis.call('HSET', KEYS[3], tag, number)
      redis.call('HDEL', KEYS[3], 'no_' .. tag)
    end
  end
end
return 'set'
