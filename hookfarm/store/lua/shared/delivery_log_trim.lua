-- requires: delivery_log
-- constants: ATTEMPTS, DELIVERED, LOGGED_ENDPOINTS
-- The delivery log is bounded: it is trimmed as it grows.
local TRIM_BATCH = 64

-- The oldest entries go, and with each the delivery that it completed, unless that was delivered again since.
local function remove_entries(endpoint, entries)
  for _, entry in ipairs(entries) do
    local id, number = string.match(entry[2][2], '^(%S+) (%S+)')
    local prefix = DONE .. number .. ','
    local record = redis.call('HGET', DELIVERED, id)
    if record and string.sub(record, 1, #prefix) == prefix then
      redis.call('HDEL', DELIVERED, id)
    end
    redis.call('XDEL', ATTEMPTS .. endpoint, entry[1])
  end
end

-- After an attempt was logged; `length` is what log_attempt returned, `keep` how many attempts the log keeps.
local function bound_log(endpoint, length, keep)
  if length == 1 then
    redis.call('SADD', LOGGED_ENDPOINTS, endpoint)
  elseif length > keep then
    local count = math.min(length - keep - 1 + TRIM_BATCH, length - 1)
    remove_entries(endpoint, redis.call('XRANGE', ATTEMPTS .. endpoint, '-', '+', 'COUNT', count))
  end
end
