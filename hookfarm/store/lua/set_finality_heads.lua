-- requires: wrong_type, remembered_blocks
-- Sets the safe and finalized heads of a chain. A block above the checkpoint or of another branch is ignored; the
-- checkpoint may have moved since the node returned the block.
--
-- KEYS 1 checkpoint STRING   2 blocks HASH   3 heads HASH
-- ARGV tag, number, hash for each tag; number '' = the chain does not support the tag
-- Returns 'set'.
-- Returns an error, before any write, if a key has the wrong type.
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
    if not published or hash_of(published) == hash_bytes(hash) then
      redis.call('HSET', KEYS[3], tag, number)
      redis.call('HDEL', KEYS[3], 'no_' .. tag)
    end
  end
end
return 'set'
