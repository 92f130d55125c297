-- requires: job, state_index
-- constants: DEAD, JOBS, RETRY
-- Adds jobs to the indexes of retry and dead after damage. Existing members stay.
--
-- ARGV ids
-- Returns the number of these jobs that are in retry or dead.
local found = 0
for _, id in ipairs(ARGV) do
  local job = redis.call('HGET', JOBS, id)
  local due_ms, died_ms = redis.call('ZSCORE', RETRY, id), redis.call('ZSCORE', DEAD, id)
  if job and due_ms then
    add_retry(id, tonumber(due_ms), endpoint_of(job))
  end
  if job and died_ms then
    add_dead(id, tonumber(died_ms), job)
  end
  found = found + ((due_ms or died_ms) and 1 or 0)
end
return found
