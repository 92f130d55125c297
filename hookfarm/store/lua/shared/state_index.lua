-- requires: clock, job
-- constants: DEAD, DEAD_INDEX, RETRY, RETRY_INDEX
-- States retry and dead, each with an index by endpoint and, for dead, by reason.
--
--   RETRY_INDEX ZSET   '<endpoint>|<due ms>|<id>', all with score 0
--   DEAD_INDEX ZSET    'e|<endpoint>|<ms of death>|<id>', 'r|<reason>|<ms>|<id>' and 'b|<endpoint>|<reason>|<ms>|<id>',
--                      all with score 0. The reason is cut at its first colon.
--
-- Times have 15 digits, so that members sort by time. Deliveries continue if an index can't be written, for example
-- because its key has another type: readers detect an incomplete index and rebuild it.

local function dead_members(id, at_ms, job)
  local endpoint, reason = endpoint_of(job), reason_of(job)
  local suffix = string.format('|%015.0f|', at_ms) .. id
  return 'e|' .. endpoint .. suffix, 'r|' .. reason .. suffix, 'b|' .. endpoint .. '|' .. reason .. suffix
end

local function add_dead(id, at_ms, job)
  local by_endpoint, by_reason, by_both = dead_members(id, at_ms, job)
  redis.call('ZADD', DEAD, digits(at_ms), id)
  redis.pcall('ZADD', DEAD_INDEX, 0, by_endpoint, 0, by_reason, 0, by_both)
end

-- Returns 1, or 0 if the job was not dead. `job` is the entry of the ledger. ZREM is called even if there is nothing to
-- remove: a script whose first write removes also runs when Redis is full.
local function remove_dead(id, job)
  local at_ms = redis.call('ZSCORE', DEAD, id)
  local removed = redis.call('ZREM', DEAD, id)
  if at_ms and job then
    redis.pcall('ZREM', DEAD_INDEX, dead_members(id, tonumber(at_ms), job))
  end
  return removed
end

local function retry_member(id, due_ms, endpoint)
  return endpoint .. string.format('|%015.0f|', due_ms) .. id
end

local function add_retry(id, due_ms, endpoint)
  redis.call('ZADD', RETRY, digits(due_ms), id)
  redis.pcall('ZADD', RETRY_INDEX, 0, retry_member(id, due_ms, endpoint))
end

-- Returns 1, or 0 if the job was not in retry.
local function remove_retry(id, endpoint)
  local due_ms = redis.call('ZSCORE', RETRY, id)
  local removed = redis.call('ZREM', RETRY, id)
  if due_ms then
    redis.pcall('ZREM', RETRY_INDEX, retry_member(id, tonumber(due_ms), endpoint))
  end
  return removed
end
