-- Retry -> list: the jobs whose time has come, each under a new sequence.
--
-- KEYS 1 retry ZSET   2 jobs HASH   3 open ZSET   4 seq STRING   5 list
-- ARGV 1 how many at most
-- Returns how many.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', math.floor(now / 1000)),
                       'LIMIT', 0, ARGV[1])
if #due == 0 then
  return 0
end
local sequence = math.max(tonumber(redis.call('GET', KEYS[4]) or '0') + 1, now)
for _, id in ipairs(due) do
  redis.call('ZREM', KEYS[1], id)
  local job = redis.call('HGET', KEYS[2], id)
  if job then
    local seq = string.format('%.0f', sequence)
    redis.call('ZADD', KEYS[3], seq, id)
    redis.call('LPUSH', KEYS[5], '{"seq":' .. seq .. ',' .. string.sub(job, 2))
    sequence = sequence + 1
  end
end
redis.call('SET', KEYS[4], string.format('%.0f', sequence - 1))
return #due
