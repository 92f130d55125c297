-- Final -> open, parked or after: the deliveries that say that logs of one block are on the chain for good.
-- Removes first, so it also runs when Redis is full.
--
-- ARGV 1 chain   2 the block's hash
--      then for each log: its index, what was told of it as the caller has it and as it is from now on ('' = nothing),
--      how many jobs, and for each its endpoint, id, job and the id of the delivery that it must follow, '' = none
-- Returns how many jobs were enqueued.
-- A log that is not kept any longer, or of which something else was told meanwhile, is left alone.
-- Where no log of the block is kept any longer, nothing waits for it: it is final.
local block = ARGV[1] .. ':' .. ARGV[2]

-- A delivery may be sent once the one before it is over.
local function follow(endpoint, id, job, original)
  if original ~= '' and comes_first(original) then
    return redis.call('HSETNX', FOLLOW_UPS, original, job)
  end
  if redis.call('HSETNX', JOBS, id, job) == 0 then
    return 0
  end
  admit(endpoint, id, job, false)
  return 1
end

local enqueued = 0
local i = 3
while i <= #ARGV do
  local log, expected, told, jobs = unpack(ARGV, i, i + 3)
  i = i + 4
  local before = redis.call('HGET', HISTORY .. block, log) or ''
  if before == expected and redis.call('HDEL', UNFINALIZED_LOGS .. block, log) == 1 then
    if told ~= '' then
      redis.call('HSET', HISTORY .. block, log, told)
    end
    for job = i, i + 4 * jobs - 1, 4 do
      enqueued = enqueued + follow(unpack(ARGV, job, job + 3))
    end
  end
  i = i + 4 * jobs
end
if redis.call('EXISTS', UNFINALIZED_LOGS .. block) == 0 and redis.call('ZREM', UNFINALIZED_BLOCKS .. ARGV[1], ARGV[2]) == 1 then
  redis.call('EXPIRE', HISTORY .. block, TOLD_SECONDS)
end
return finish(enqueued)
