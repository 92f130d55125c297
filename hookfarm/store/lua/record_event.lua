-- constants: OPERATIONAL_EVENTS, OPERATIONAL_SUBSCRIPTIONS
-- Records an operational event that a process causes, if an endpoint subscribes to operational events.
--
-- ARGV 1 the event as JSON
-- Returns 'recorded', or 'unwanted' without an operational subscription.
if redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 0 then
  return 'unwanted'
end
redis.call('RPUSH', OPERATIONAL_EVENTS, ARGV[1])
return 'recorded'
