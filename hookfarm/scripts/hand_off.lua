-- Stream -> queue: acknowledge entries and enqueue what became of them, all or nothing.
-- Acknowledges first (0 = somebody else did it: that entry adds nothing), so it also runs when Redis is full.
--
-- KEYS 1 stream   2 jobs HASH   3 open ZSET   4 seq STRING   5 list   6 dead ZSET
-- ARGV 1 group    2 number of entries that became nothing, then their ids
--      then for each other entry: its id, how many items, and for each item 'job' or 'dead', id, job
-- Returns how many jobs were enqueued; a job that is in the ledger already is not enqueued again.
-- A key of another type is an error before anything is done: what a script did before it fails stays done.
for i, kind in ipairs({'stream', 'hash', 'zset', 'string', 'list', 'zset'}) do
  local found = redis.call('TYPE', KEYS[i]).ok
  if found ~= 'none' and found ~= kind then
    return {err = 'WRONGTYPE ' .. KEYS[i] .. ' is a ' .. found .. '; it must be a ' .. kind}
  end
end
local group = ARGV[1]
local plain = tonumber(ARGV[2])
if plain > 0 then
  local ids = {unpack(ARGV, 3, 2 + plain)}
  redis.call('XACK', KEYS[1], group, unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local sequence = math.max(tonumber(redis.call('GET', KEYS[4]) or '0') + 1, now)
local enqueued = 0
local i = 3 + plain
while i <= #ARGV do
  local entry, items = ARGV[i], tonumber(ARGV[i + 1])
  i = i + 2
  if redis.call('XACK', KEYS[1], group, entry) == 1 then
    for item = i, i + 3 * items - 1, 3 do
      local id, job = ARGV[item + 1], ARGV[item + 2]
      if redis.call('HSETNX', KEYS[2], id, job) == 1 then
        if ARGV[item] == 'job' then
          local seq = string.format('%.0f', sequence)
          redis.call('ZADD', KEYS[3], seq, id)
          redis.call('LPUSH', KEYS[5], '{"seq":' .. seq .. ',' .. string.sub(job, 2))
          sequence = sequence + 1
          enqueued = enqueued + 1
        else
          redis.call('ZADD', KEYS[6], string.format('%.0f', math.floor(now / 1000)), id)
        end
      end
    end
    redis.call('XDEL', KEYS[1], entry)
  end
  i = i + 3 * items
end
if enqueued > 0 then
  redis.call('SET', KEYS[4], string.format('%.0f', sequence - 1))
end
return enqueued
