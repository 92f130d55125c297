-- requires: state_index
-- constants: JOBS
-- Removes dead letters for good.
--
-- ARGV ids
-- Returns how many there were.
local purged = 0
for _, id in ipairs(ARGV) do
  if remove_dead(id, redis.call('HGET', JOBS, id)) == 1 then
    redis.call('HDEL', JOBS, id)
    purged = purged + 1
  end
end
return purged
