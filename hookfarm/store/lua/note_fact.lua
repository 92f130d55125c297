-- Something that no script makes happen -> facts, where anybody wants to be told of such things.
--
-- ARGV 1 the fact as JSON
-- Returns 1, or 0 where nobody does.
if redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 0 then
  return 0
end
redis.call('RPUSH', OPERATIONAL_EVENTS, ARGV[1])
return 1
