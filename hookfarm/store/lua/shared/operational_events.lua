-- requires: clock
-- constants: OPERATIONAL_EVENTS, OPERATIONAL_SUBSCRIPTIONS
-- Recording of operational events. The script that causes an event records it, so each event is recorded once.

-- Records an event, unless there are no operational subscriptions. Endpoints with operational subscriptions never cause
-- operational events; otherwise two failing ones would loop.
local function record_event(kind, at_us, endpoint, details)
  if redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 0
     or redis.call('HEXISTS', OPERATIONAL_SUBSCRIPTIONS, endpoint) == 1 then
    return
  end
  details.type, details.at, details.endpoint = kind, digits(at_us), endpoint
  redis.call('RPUSH', OPERATIONAL_EVENTS, cjson.encode(details))
end
