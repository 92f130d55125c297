-- constants: BACKFILL_JOBS, DEAD, DELIVERED, HISTORY, JOBS, UNCONFIRMED, UNCONFIRMED_BY_BLOCK, UNFINALIZED_BLOCKS
-- constants: UNFINALIZED_LOGS
-- Histories of logs (what was sent to which endpoint), and what waits for a log's block to be confirmed or final.
-- `block` is `<chain>:<hash>` here, `log` a log index, `t<index>` for a transfer.
--
--   HISTORY<block> HASH                  log -> its history, for HISTORY_SECONDS, or until the block is final
--   UNFINALIZED_LOGS<block> HASH         log -> the event, deflated, of which more is sent once its block is final
--   UNFINALIZED_BLOCKS<chain> ZSET       block hash -> number, of the blocks of those
--   UNCONFIRMED HASH                     id -> job that waits for confirmations
--   UNCONFIRMED_BY_BLOCK<head> ZSET      id -> the block that the head must reach; a head is
--                                        `<chain>:<blocks|safe|finalized>`
local HISTORY_SECONDS = 86400

-- Whether the delivery is in the ledger and not dead: its follow-up has to wait.
local function is_owed(id)
  return redis.call('HEXISTS', JOBS, id) == 1 and redis.call('HEXISTS', DELIVERED, id) == 0
         and not redis.call('ZSCORE', DEAD, id)
end

-- Whether the delivery is still to come, so that its follow-up is sent after it.
local function is_to_come(id)
  return is_owed(id) or redis.call('HEXISTS', UNCONFIRMED, id) + redis.call('HEXISTS', BACKFILL_JOBS, id) > 0
end

-- Whether something waits for the block to be final; its histories are kept as long as that.
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

-- To be called after keep_until_final and add_unconfirmed, which decide how long it is kept.
local function save_history(block, log, history)
  redis.call('HSET', HISTORY .. block, log, history)
  if is_unfinalized(block) then
    redis.call('PERSIST', HISTORY .. block)
  else
    redis.call('EXPIRE', HISTORY .. block, HISTORY_SECONDS)
  end
end

-- `event` '' = it is not kept any longer; `number` is that of the block.
local function keep_until_final(block, log, event, number)
  if event == '' then
    redis.call('HDEL', UNFINALIZED_LOGS .. block, log)
  else
    redis.call('HSET', UNFINALIZED_LOGS .. block, log, event)
    await_finality(block, number)
  end
end

-- The job waits until `head` has reached block `number`. `block` '' = its log has no history.
local function add_unconfirmed(block, head, number, id, job)
  local is_known = redis.call('HEXISTS', JOBS, id) == 1 and redis.call('HEXISTS', DELIVERED, id) == 0
  if not is_known and redis.call('HSETNX', UNCONFIRMED, id, job) == 1 then
    redis.call('ZADD', UNCONFIRMED_BY_BLOCK .. head, number, id)
    if block ~= '' and not is_unfinalized(block) then
      await_finality(block, number)
    end
  end
end
