-- requires: state_index
-- constants: JOBS
-- Deletes dead letters.
--
-- ARGV ids
-- Returns the number of deleted dead letters.
local purged = 0
for _, id in ipairs(ARGV) do
  if remove_dead(id, redis.call('HGET', JOBS, id)) == 1 then
    redis.call('HDEL', JOBS, id)
    purged = purged + 1
  end
end
return purged
