-- Put in front of the scripts that move jobs into and out of retry and dead: beside each of the two stands an index,
-- so that those of one endpoint, or for one reason, are found without reading all the others.
--
--   RETRY_INDEX ZSET   '<endpoint>|<due ms>|<id>', all of score 0
--   DEAD_INDEX ZSET    'e|<endpoint>|<ms of death>|<id>', 'r|<reason>|<ms>|<id>' and 'b|<endpoint>|<reason>|<ms>|<id>',
--                      all of score 0. The reason is its first words, up to a colon.
-- Times have 15 digits, so that their order is that of their texts. An index that can't be written (somebody has put
-- another type there) stops no delivery: whoever reads it sees that it is not whole and makes it anew.
local function header_of(job)
  local payload = string.find(job, ',"payload":', 1, true)
  return payload and string.sub(job, 1, payload) or job
end

-- Inside a string of the header quotes are escaped, so this matches the field and nothing else.
local function reason_of(job)
  return string.match(header_of(job), '"reason":"([^":\\|%c]*)') or ''
end

local function owner_of(job)
  return string.match(job, '^{"id":"[^"]*","endpoint":"([^"]*)"') or ''
end

local function dead_members(id, at_ms, job)
  local endpoint, reason = owner_of(job), reason_of(job)
  local place = string.format('|%015.0f|', at_ms) .. id
  return 'e|' .. endpoint .. place, 'r|' .. reason .. place, 'b|' .. endpoint .. '|' .. reason .. place
end

local function enter_dead(id, at_ms, job)
  local of_endpoint, for_reason, of_both = dead_members(id, at_ms, job)
  redis.call('ZADD', DEAD, string.format('%.0f', at_ms), id)
  redis.pcall('ZADD', DEAD_INDEX, 0, of_endpoint, 0, for_reason, 0, of_both)
end

-- Returns how many left: 1, or 0 where it was not there. `job` is as it is in the ledger. The removal comes first even
-- where there is nothing to remove: with it a script has begun, and goes on to its end on a full server too.
local function leave_dead(id, job)
  local at_ms = redis.call('ZSCORE', DEAD, id)
  local left = redis.call('ZREM', DEAD, id)
  if at_ms and job then
    redis.pcall('ZREM', DEAD_INDEX, dead_members(id, tonumber(at_ms), job))
  end
  return left
end

local function retry_member(id, due_ms, endpoint)
  return endpoint .. string.format('|%015.0f|', due_ms) .. id
end

local function enter_retry(id, due_ms, endpoint)
  redis.call('ZADD', RETRY, string.format('%.0f', due_ms), id)
  redis.pcall('ZADD', RETRY_INDEX, 0, retry_member(id, due_ms, endpoint))
end

local function leave_retry(id, endpoint)
  local due_ms = redis.call('ZSCORE', RETRY, id)
  local left = redis.call('ZREM', RETRY, id)
  if due_ms then
    redis.pcall('ZREM', RETRY_INDEX, retry_member(id, tonumber(due_ms), endpoint))
  end
  return left
end
