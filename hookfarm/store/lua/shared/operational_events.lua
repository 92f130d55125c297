-- requires: clock
-- constants: OPERATIONAL_EVENTS, OPERATIONAL_SUBSCRIPTIONS
-- Operational events are recorded by the script that causes them, so each of them is recorded once. Without a
-- subscription to them, that costs one look.
--
-- Endpoints with operational subscriptions never cause operational events; otherwise two failing ones would loop.
local function record_event(kind, at_us, endpoint, details)
  if redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 0
     or redis.call('HEXISTS', OPERATIONAL_SUBSCRIPTIONS, endpoint) == 1 then
    return
  end
  details.type, details.at, details.endpoint = kind, digits(at_us), endpoint
  redis.call('RPUSH', OPERATIONAL_EVENTS, cjson.encode(details))
end
