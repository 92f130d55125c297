-- requires: delivery_log
-- constants: ATTEMPTS, DELIVERED, JOBS, LOGGED_ENDPOINTS
-- Trimming of the delivery log.
local TRIM_BATCH = 64

-- Removes entries, and each delivery whose last successful attempt is among them.
local function remove_entries(endpoint, entries)
  if #entries == 0 then
    return
  end
  local positions, ids, numbers, completed = {}, {}, {}, {}
  for i, entry in ipairs(entries) do
    positions[i] = entry[1]
    ids[i], numbers[i] = string.match(entry[2][2], '^(%S+) (%S+)')
  end
  for i, record in ipairs(redis.call('HMGET', DELIVERED, unpack(ids))) do
    local prefix = DONE .. numbers[i] .. ','
    if record and string.sub(record, 1, #prefix) == prefix then
      completed[#completed + 1] = ids[i]
    end
  end
  redis.call('XDEL', ATTEMPTS .. endpoint, unpack(positions))
  if #completed > 0 then
    redis.call('HDEL', DELIVERED, unpack(completed))
    redis.call('HDEL', JOBS, unpack(completed))
  end
end

-- Trims an endpoint's log after attempts were added. `length` is the result of log_attempts, `keep` the maximum number
-- of attempts.
local function bound_log(endpoint, length, keep)
  if length.before <= 0 then
    redis.call('SADD', LOGGED_ENDPOINTS, endpoint)
  elseif length.now > keep then
    local count = math.min(length.now - keep - 1 + TRIM_BATCH, length.now - 1)
    remove_entries(endpoint, redis.call('XRANGE', ATTEMPTS .. endpoint, '-', '+', 'COUNT', count))
  end
end
