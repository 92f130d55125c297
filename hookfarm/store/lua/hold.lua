-- What one farm's workers have in hand -> holders; answers with the jobs that are in nobody's hands.
-- And how many workers all farms have -> limits: what a window may grow to.
-- Removes first, so it also runs when Redis is full: an orphan that is found again makes room.
--
-- ARGV 1 farm   2 its watermark   3 how many workers it has   4 ms of silence after which a farm is dead
--      then the sequences it holds
-- Returns id, sequence for each orphan, MOST_ORPHANS at most: open below the smallest watermark, held by no farm.
local MOST_ORPHANS = 500
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local mine = {string.format('%.0f', now), ARGV[2], ARGV[3], unpack(ARGV, 5)}
redis.call('HDEL', HELD_BY_FARM, ARGV[1])
redis.call('HSET', HELD_BY_FARM, ARGV[1], table.concat(mine, ' '))
local lowest = tonumber(ARGV[2])
local workers = 0
local held = {}
local farms = redis.call('HGETALL', HELD_BY_FARM)
for i = 1, #farms, 2 do
  local at, watermark, hands, rest = string.match(farms[i + 1], '^(%d+) (%d+) (%d+)(.*)$')
  if not at or now - tonumber(at) > tonumber(ARGV[4]) then
    redis.call('HDEL', HELD_BY_FARM, farms[i])
  else
    lowest = math.min(lowest, tonumber(watermark))
    workers = workers + tonumber(hands)
    for sequence in string.gmatch(rest, '%d+') do
      held[tonumber(sequence)] = true
    end
  end
end
redis.call('HSET', ENDPOINT_LIMITS, '*', math.max(workers, 1))
local orphans = {}
local below = redis.call('ZRANGEBYSCORE', OPEN, '-inf', '(' .. string.format('%.0f', lowest), 'WITHSCORES')
for i = 1, #below, 2 do
  if not held[tonumber(below[i + 1])] and #orphans < 2 * MOST_ORPHANS then
    orphans[#orphans + 1] = below[i]
    orphans[#orphans + 1] = below[i + 1]
  end
end
return orphans
