-- constants: BACKFILL_JOBS, DEAD, DELIVERED, HISTORY, JOBS, UNCONFIRMED, UNCONFIRMED_BY_BLOCK, UNFINALIZED_BLOCKS
-- constants: UNFINALIZED_LOGS
-- Histories of logs (which endpoint was sent which notification). Jobs and logs that await confirmations or finality.
-- `block` is `<chain>:<hash>`; `log` is a log index, or `t<index>` for a transfer.
--
--   HISTORY<block> HASH                  log -> its history; kept for HISTORY_SECONDS, or until the block is final
--   UNFINALIZED_LOGS<block> HASH         log -> its event, deflated; the block is not final yet
--   UNFINALIZED_BLOCKS<chain> ZSET       block hash -> number, of blocks with logs or jobs that await finality
--   UNCONFIRMED HASH                     id -> job that waits for confirmations
--   UNCONFIRMED_BY_BLOCK<head> ZSET      id -> block number that the head must reach; a head is
--                                        `<chain>:<blocks|safe|finalized>`
local HISTORY_SECONDS = 86400

-- Returns whether the ledger has the delivery, undelivered and not dead. Its follow-up must wait.
local function is_owed(id)
  return redis.call('HEXISTS', JOBS, id) == 1 and redis.call('HEXISTS', DELIVERED, id) == 0
         and not redis.call('ZSCORE', DEAD, id)
end

-- Returns whether the delivery will still be sent; its follow-up must wait. Includes unconfirmed and backfill jobs.
local function is_to_come(id)
  return is_owed(id) or redis.call('HEXISTS', UNCONFIRMED, id) + redis.call('HEXISTS', BACKFILL_JOBS, id) > 0
end

-- Returns whether the block is among those that are not final; their histories do not expire.
local unfinalized = {}
local function is_unfinalized(block)
  if unfinalized[block] == nil then
    local chain, hash = string.match(block, '^(%d+):(.*)$')
    unfinalized[block] = redis.call('ZSCORE', UNFINALIZED_BLOCKS .. chain, hash) and true or false
  end
  return unfinalized[block]
end

local function await_finality(block, number)
  local chain, hash = string.match(block, '^(%d+):(.*)$')
  redis.call('ZADD', UNFINALIZED_BLOCKS .. chain, 'LT', number, hash)
  unfinalized[block] = true
end

-- Saves a log's history. Call it after keep_until_final and add_unconfirmed, which determine its expiry.
local function save_history(block, log, history)
  redis.call('HSET', HISTORY .. block, log, history)
  if is_unfinalized(block) then
    redis.call('PERSIST', HISTORY .. block)
  else
    redis.call('EXPIRE', HISTORY .. block, HISTORY_SECONDS)
  end
end

-- Stores the event of a log until its block, `number`, is final; '' deletes the stored event.
local function keep_until_final(block, log, event, number)
  if event == '' then
    redis.call('HDEL', UNFINALIZED_LOGS .. block, log)
  else
    redis.call('HSET', UNFINALIZED_LOGS .. block, log, event)
    await_finality(block, number)
  end
end

-- Adds a job that waits until `head` reaches block `number`. `block` '' = the log has no history.
local function add_unconfirmed(block, head, number, id, job)
  local is_known = redis.call('HEXISTS', JOBS, id) == 1 and redis.call('HEXISTS', DELIVERED, id) == 0
  if not is_known and redis.call('HSETNX', UNCONFIRMED, id, job) == 1 then
    redis.call('ZADD', UNCONFIRMED_BY_BLOCK .. head, number, id)
    if block ~= '' and not is_unfinalized(block) then
      await_finality(block, number)
    end
  end
end
