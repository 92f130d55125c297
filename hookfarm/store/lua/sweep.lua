-- requires: clock
-- constants: DELIVERY_QUEUE, ENDPOINT_LIMITS, HELD_BY_FARM, OPEN, SEQUENCE
-- Publishes the held jobs of one farm and the capacity of all farms; returns orphans and suspects.
-- The first write removes, so the script also runs when Redis is full: requeued orphans make room.
--
-- ARGV 1 farm   2 its watermark   3 its capacity: the maximum number of jobs in flight
--      4 the default max_in_flight of an endpoint   5 ms without a sweep after which a farm is considered dead
--      6 the held sequences, separated by spaces
-- Returns three values:
--      the current watermark, '' if the next element to be popped is foreign; an element with a sequence that was never
--        assigned is foreign, too
--      orphans, at most MAX_FOUND: id and sequence of open jobs below the smallest watermark of all farms that no farm
--        holds
--      suspects, at most MAX_FOUND: sequences of popped jobs that no farm holds
local MAX_FOUND = 500
redis.call('HDEL', HELD_BY_FARM, ARGV[1])
redis.call('HSET', HELD_BY_FARM, ARGV[1], table.concat({digits(now_ms), ARGV[2], ARGV[3], ARGV[6]}, ' '))
local lowest = tonumber(ARGV[2])
local capacity = 0
local held = {}
local farms = redis.call('HGETALL', HELD_BY_FARM)
for i = 1, #farms, 2 do
  local at, watermark, its_capacity, sequences = string.match(farms[i + 1], '^(%d+) (%d+) (%d+)(.*)$')
  if not at or now_ms - tonumber(at) > tonumber(ARGV[5]) then
    redis.call('HDEL', HELD_BY_FARM, farms[i])
  else
    lowest = math.min(lowest, tonumber(watermark))
    capacity = capacity + tonumber(its_capacity)
    for sequence in string.gmatch(sequences, '%d+') do
      held[tonumber(sequence)] = true
    end
  end
end
local limits = digits(math.max(capacity, 1)) .. ' ' .. ARGV[4]
if redis.call('HGET', ENDPOINT_LIMITS, '*') ~= limits then
  redis.call('HSET', ENDPOINT_LIMITS, '*', limits)
end
local newest = tonumber(redis.call('GET', SEQUENCE) or '0') or 0
local tail = redis.call('LINDEX', DELIVERY_QUEUE, -1)
local watermark = newest + 1
if tail then
  watermark = tonumber(string.match(tail, '^{"seq":(%d+),"id":"[%w_.:-]+"}$') or '')
  watermark = watermark and watermark <= newest and watermark
end
local orphans, suspects = {}, {}
local popped = redis.call('ZRANGEBYSCORE', OPEN, '-inf', '(' .. digits(math.max(watermark or 0, lowest)), 'WITHSCORES')
for i = 1, #popped, 2 do
  local sequence = tonumber(popped[i + 1])
  if not held[sequence] then
    if sequence < lowest and #orphans < 2 * MAX_FOUND then
      orphans[#orphans + 1] = popped[i]
      orphans[#orphans + 1] = popped[i + 1]
    end
    if #suspects < MAX_FOUND then
      suspects[#suspects + 1] = popped[i + 1]
    end
  end
end
return {watermark and digits(watermark) or '', orphans, suspects}
