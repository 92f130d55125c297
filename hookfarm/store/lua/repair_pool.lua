-- requires: clock
-- constants: UNPROVEN, WINDOW
-- Recounts the pool of unproven endpoints from their windows. Scripts that open or settle jobs maintain the counts;
-- only manual changes of keys make them wrong.
--
-- Returns the number of corrected counts.
local sum, wrong = 0, 0

local function correct(field, count)
  if to_number(redis.call('HGET', UNPROVEN, field)) == count then
    return
  end
  wrong = wrong + 1
  redis.call('HDEL', UNPROVEN, field)
  if count > 0 then
    redis.call('HSET', UNPROVEN, field, count)
  end
end

local counted = redis.call('HGETALL', UNPROVEN)
for i = 1, #counted, 2 do
  local endpoint = counted[i]
  if endpoint ~= '*' then
    local window = redis.pcall('HMGET', WINDOW .. endpoint, 'open', 'proven')
    local open = window.err and 0 or to_number(window[1])
    local count = window[2] ~= '1' and math.max(open, 0) or 0
    sum = sum + count
    correct(endpoint, count)
  end
end
correct('*', sum)
return wrong
