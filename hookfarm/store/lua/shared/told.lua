-- Put in front of the scripts that tell endpoints of one log more than once. A log's block is `<chain>:<hash>` here.
local TOLD_SECONDS = 86400

-- Whether the delivery is in the ledger and not given up: what follows it has to wait.
local function owed(id)
  return redis.call('HEXISTS', JOBS, id) == 1 and not redis.call('ZSCORE', DEAD, id)
end

-- Whether the delivery is still to come, so that what follows it is sent once that is over.
local function comes_first(id)
  return owed(id) or redis.call('HEXISTS', UNCONFIRMED, id) + redis.call('HEXISTS', BACKFILL_JOBS, id) > 0
end

-- Whether something of the block waits for it to be final; as long as that, what was told of it is kept.
local awaited = {}
local function finalizing(block)
  if awaited[block] == nil then
    local chain, hash = string.match(block, '^(%d+):(.*)$')
    awaited[block] = redis.call('ZSCORE', UNFINALIZED_BLOCKS .. chain, hash) and true or false
  end
  return awaited[block]
end

local function await_finality(block, number)
  local chain, hash = string.match(block, '^(%d+):(.*)$')
  redis.call('ZADD', UNFINALIZED_BLOCKS .. chain, 'LT', number, hash)
  awaited[block] = true
end

-- After what waits has been noted.
local function remember(block, log, told)
  redis.call('HSET', HISTORY .. block, log, told)
  if finalizing(block) then
    redis.call('PERSIST', HISTORY .. block)
  else
    redis.call('EXPIRE', HISTORY .. block, TOLD_SECONDS)
  end
end

-- `event` as it is kept, '' = no longer; `number` is that of the block.
local function keep_until_final(block, log, event, number)
  if event == '' then
    redis.call('HDEL', UNFINALIZED_LOGS .. block, log)
  else
    redis.call('HSET', UNFINALIZED_LOGS .. block, log, event)
    await_finality(block, number)
  end
end

-- Until the block `reached` is there, on a line `<chain>:<blocks|safe|finalized>`. `block` '' = nothing is noted of it.
local function wait_for_confirmations(block, line, reached, id, job)
  if redis.call('HEXISTS', JOBS, id) == 0 and redis.call('HSETNX', UNCONFIRMED, id, job) == 1 then
    redis.call('ZADD', UNCONFIRMED_BY_BLOCK .. line, reached, id)
    if block ~= '' and not finalizing(block) then
      await_finality(block, reached)
    end
  end
end
