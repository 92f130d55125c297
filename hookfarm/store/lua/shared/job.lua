-- Wire format of a job, read by position. Scripts read it only here.
--
-- hookfarm/delivery_queue/job.py writes the fields in this order, without spaces:
--
--   {"id":"…","endpoint":"…","attempt":N,…,"payload":{…}}
--
-- Optional fields may follow "attempt", in any order; job.py lists them. The fields before "payload" are the header.
--
-- Quotes inside JSON strings are escaped, so a pattern with plain quotes matches only fields.

-- Returns id and endpoint; nil if the job has another format.
local function id_and_endpoint_of(job)
  return string.match(job, '^{"id":"([^"]*)","endpoint":"([^"]*)"')
end

-- Returns the endpoint; '' if the job has another format.
local function endpoint_of(job)
  return string.match(job, '^{"id":"[^"]*","endpoint":"([^"]*)"') or ''
end

-- Returns whether the job is as it was enqueued: without ended attempts or lost workers.
local function is_unattempted(job)
  return string.find(job, '^{"id":"[^"]*","endpoint":"[^"]*","attempt":1,"payload":') ~= nil
end

-- Returns the reason of a dead letter up to its first colon.
local function reason_of(job)
  local payload = string.find(job, ',"payload":', 1, true)
  local header = payload and string.sub(job, 1, payload) or job
  return string.match(header, '"reason":"([^":\\|%c]*)') or ''
end
