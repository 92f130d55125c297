-- What one farm's workers have in hand -> holders; answers with the jobs that are in nobody's hands.
-- Removes first, so it also runs when Redis is full: an orphan that is found again makes room.
--
-- KEYS 1 holders HASH   2 open ZSET
-- ARGV 1 farm   2 its watermark   3 ms of silence after which a farm is dead   then the sequences it holds
-- Returns id, sequence for at most 500 orphans: open below the smallest watermark, held by no farm.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local mine = {string.format('%.0f', now), ARGV[2], unpack(ARGV, 4)}
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[1], ARGV[1], table.concat(mine, ' '))
local lowest = tonumber(ARGV[2])
local held = {}
local farms = redis.call('HGETALL', KEYS[1])
for i = 1, #farms, 2 do
  local at, watermark, rest = string.match(farms[i + 1], '^(%d+) (%d+)(.*)$')
  if not at or now - tonumber(at) > tonumber(ARGV[3]) then
    redis.call('HDEL', KEYS[1], farms[i])
  else
    lowest = math.min(lowest, tonumber(watermark))
    for sequence in string.gmatch(rest, '%d+') do
      held[tonumber(sequence)] = true
    end
  end
end
local orphans = {}
local below = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', '(' .. string.format('%.0f', lowest), 'WITHSCORES')
for i = 1, #below, 2 do
  if not held[tonumber(below[i + 1])] and #orphans < 1000 then
    orphans[#orphans + 1] = below[i]
    orphans[#orphans + 1] = below[i + 1]
  end
end
return orphans
