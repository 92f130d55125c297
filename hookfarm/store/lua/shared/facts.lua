-- Put in front of the scripts that make something happen which operators may want to be told of. Noted by the script
-- that makes it happen, a fact is noted once; where nobody asked for any, it costs one look.
--
-- Who is told of facts is the subject of none: two endpoints that fail would go on telling each other.
local function note_fact(kind, at_us, endpoint, details)
  if redis.call('EXISTS', OPERATIONAL_SUBSCRIPTIONS) == 0 or redis.call('HEXISTS', OPERATIONAL_SUBSCRIPTIONS, endpoint) == 1 then
    return
  end
  details.type, details.at, details.endpoint = kind, string.format('%.0f', at_us), endpoint
  redis.call('RPUSH', OPERATIONAL_EVENTS, cjson.encode(details))
end
