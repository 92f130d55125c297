-- requires: admission, history, flush
-- constants: FOLLOW_UPS, HISTORY, UNFINALIZED_BLOCKS, UNFINALIZED_LOGS
-- Enqueues the jobs of final logs of one block: open, parked, or as follow-ups of other deliveries.
-- The first write removes, so the script also runs when Redis is full.
--
-- ARGV 1 chain   2 hash of the block
--      then for each log: its index; its expected history; its new history ('' = unchanged); the number of jobs; for
--      each job its endpoint, id, job, and the id of the delivery that it follows, '' = none
-- Returns the number of enqueued jobs.
-- A log is skipped if its stored event is gone or its history is not the expected one.
-- After its last stored log, the block is removed from the blocks that await finality.
local block = ARGV[1] .. ':' .. ARGV[2]

-- Returns 1 if the job is new, else 0.
local function enqueue_after(endpoint, id, job, original)
  if original ~= '' and is_to_come(original) then
    return redis.call('HSETNX', FOLLOW_UPS, original, job)
  end
  if not enter_ledger(id, job) then
    return 0
  end
  enqueue_or_park(endpoint, id, false)
  return 1
end

local enqueued = 0
local i = 3
while i <= #ARGV do
  local log, expected, history, jobs = unpack(ARGV, i, i + 3)
  i = i + 4
  local current = redis.call('HGET', HISTORY .. block, log) or ''
  if current == expected and redis.call('HDEL', UNFINALIZED_LOGS .. block, log) == 1 then
    if history ~= '' then
      redis.call('HSET', HISTORY .. block, log, history)
    end
    for job = i, i + 4 * jobs - 1, 4 do
      enqueued = enqueued + enqueue_after(unpack(ARGV, job, job + 3))
    end
  end
  i = i + 4 * jobs
end
if redis.call('EXISTS', UNFINALIZED_LOGS .. block) == 0
   and redis.call('ZREM', UNFINALIZED_BLOCKS .. ARGV[1], ARGV[2]) == 1 then
  redis.call('EXPIRE', HISTORY .. block, HISTORY_SECONDS)
end
return flush(enqueued)
