-- Into the index of retry and dead: what came there before there was one. What is in it already stays.
--
-- ARGV ids
-- Returns how many of them are in retry or dead.
local found = 0
for _, id in ipairs(ARGV) do
  local job = redis.call('HGET', JOBS, id)
  local due_ms, died_ms = redis.call('ZSCORE', RETRY, id), redis.call('ZSCORE', DEAD, id)
  if job and due_ms then
    enter_retry(id, tonumber(due_ms), owner_of(job))
  end
  if job and died_ms then
    enter_dead(id, tonumber(died_ms), job)
  end
  found = found + ((due_ms or died_ms) and 1 or 0)
end
return found
