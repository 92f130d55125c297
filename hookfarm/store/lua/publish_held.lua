-- requires: clock
-- constants: ENDPOINT_LIMITS, HELD_BY_FARM, OPEN
-- Publishes which jobs one farm's workers hold, and the workers of all farms (a window may grow to them); returns
-- orphans: jobs that no worker holds.
-- Removes first, so it also runs when Redis is full: an orphan that is requeued makes room.
--
-- ARGV 1 farm   2 its watermark   3 how many workers it has   4 ms of silence after which a farm is dead
--      then the sequences it holds
-- Returns id, sequence for each orphan, MAX_ORPHANS at most: open below the smallest watermark, held by no farm.
local MAX_ORPHANS = 500
local mine = {digits(now_ms), ARGV[2], ARGV[3], unpack(ARGV, 5)}
redis.call('HDEL', HELD_BY_FARM, ARGV[1])
redis.call('HSET', HELD_BY_FARM, ARGV[1], table.concat(mine, ' '))
local lowest = tonumber(ARGV[2])
local workers = 0
local held = {}
local farms = redis.call('HGETALL', HELD_BY_FARM)
for i = 1, #farms, 2 do
  local at, watermark, count, sequences = string.match(farms[i + 1], '^(%d+) (%d+) (%d+)(.*)$')
  if not at or now_ms - tonumber(at) > tonumber(ARGV[4]) then
    redis.call('HDEL', HELD_BY_FARM, farms[i])
  else
    lowest = math.min(lowest, tonumber(watermark))
    workers = workers + tonumber(count)
    for sequence in string.gmatch(sequences, '%d+') do
      held[tonumber(sequence)] = true
    end
  end
end
redis.call('HSET', ENDPOINT_LIMITS, '*', math.max(workers, 1))
local orphans = {}
local below = redis.call('ZRANGEBYSCORE', OPEN, '-inf', '(' .. digits(lowest), 'WITHSCORES')
for i = 1, #below, 2 do
  if not held[tonumber(below[i + 1])] and #orphans < 2 * MAX_ORPHANS then
    orphans[#orphans + 1] = below[i]
    orphans[#orphans + 1] = below[i + 1]
  end
end
return orphans
