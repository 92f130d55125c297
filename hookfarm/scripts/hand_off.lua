-- Stream -> queue: acknowledge entries and enqueue what became of them, all or nothing.
-- Acknowledges first (0 = somebody else did it: that entry adds nothing), so it also runs when Redis is full.
--
-- KEYS 1 stream
-- ARGV 1 group    2 number of entries that became nothing, then their ids
--      then for each other entry: its id, how many items, and for each item the endpoint ('' = a dead letter), id, job
-- Returns how many jobs were enqueued; a job that is in the ledger already is not enqueued again.
local group = ARGV[1]
local plain = tonumber(ARGV[2])
if plain > 0 then
  local ids = {unpack(ARGV, 3, 2 + plain)}
  redis.call('XACK', KEYS[1], group, unpack(ids))
  redis.call('XDEL', KEYS[1], unpack(ids))
end
local enqueued = 0
local i = 3 + plain
while i <= #ARGV do
  local entry, items = ARGV[i], tonumber(ARGV[i + 1])
  i = i + 2
  if redis.call('XACK', KEYS[1], group, entry) == 1 then
    for item = i, i + 3 * items - 1, 3 do
      local endpoint, id, job = ARGV[item], ARGV[item + 1], ARGV[item + 2]
      if redis.call('HSETNX', JOBS, id, job) == 1 then
        if endpoint == '' then
          redis.call('ZADD', DEAD, digits(now_ms), id)
        else
          admit(endpoint, id, job, false)
          enqueued = enqueued + 1
        end
      end
    end
    redis.call('XDEL', KEYS[1], entry)
  end
  i = i + 3 * items
end
return finish(enqueued)
