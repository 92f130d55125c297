-- Put in front of the scripts that write the delivery log; it is trimmed as it grows.
--
--   ATTEMPTS<endpoint> STREAM   one entry an attempt: a = 'delivery number status ms', the status that of HTTP or the
--                               word for an error. One field, as it is written for each delivery: four cost 3 us more.
--                               Logs that are older than that have four, d, n, s and t
--   DELIVERED HASH              delivery -> its job, as it was, behind '{"done":N,"outcome":{...},': the attempt
--                               that succeeded and what came of it
--   LOGGED_ENDPOINTS SET                  the endpoints that have a log
--   ATTEMPTS_ALL STREAM               a = 'endpoint delivery number status ms', of every attempt, whosever. It is trimmed as
--                               a whole, now and then; where it can't be written, no delivery waits for that.
local TRIMMED_AT_ONCE = 64

local function done_by(attempt)
  return '{"done":' .. attempt .. ','
end

-- The oldest entries go, and with each the delivery that it completed, unless that was delivered again since.
local function forget_oldest(endpoint, entries)
  for _, entry in ipairs(entries) do
    local id, number = string.match(entry[2][2], '^(%S+) (%S+)')
    if not id then
      id, number = entry[2][2], entry[2][4]
    end
    local prefix = done_by(number)
    local kept = redis.call('HGET', DELIVERED, id)
    if kept and string.sub(kept, 1, #prefix) == prefix then
      redis.call('HDEL', DELIVERED, id)
    end
    redis.call('XDEL', ATTEMPTS .. endpoint, entry[1])
  end
end

-- After an attempt has been added, which made the log so long.
local function bound_log(endpoint, length, keep)
  if length == 1 then
    redis.call('SADD', LOGGED_ENDPOINTS, endpoint)
  elseif length > keep then
    local many = math.min(length - keep - 1 + TRIMMED_AT_ONCE, length - 1)
    forget_oldest(endpoint, redis.call('XRANGE', ATTEMPTS .. endpoint, '-', '+', 'COUNT', many))
  end
end
