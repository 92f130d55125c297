-- The wire format of a job: the only place where scripts read its JSON by position.
--
-- hookfarm/delivery_queue/job.py encodes a job, with its fields in this order and no spaces:
--
--   {"id":"…","endpoint":"…","attempt":N,…,"payload":{…}}
--
-- Between "attempt" and "payload" come fields that some jobs have, in any order; job.py lists them. Everything before
-- "payload" is the header.
--
-- Quotes inside of JSON strings are escaped, so a pattern with unescaped quotes matches a field and no value.

-- Returns nothing if the job does not begin as above.
local function id_and_endpoint_of(job)
  return string.match(job, '^{"id":"([^"]*)","endpoint":"([^"]*)"')
end

-- Returns '' if the job has none.
local function endpoint_of(job)
  return string.match(job, '^{"id":"[^"]*","endpoint":"([^"]*)"') or ''
end

-- Whether the job is as it was enqueued: its first attempt has not ended, and no worker was lost with it.
local function is_unattempted(job)
  return string.find(job, '^{"id":"[^"]*","endpoint":"[^"]*","attempt":1,"payload":') ~= nil
end

-- The first words of a dead letter's reason, up to a colon.
local function reason_of(job)
  local payload = string.find(job, ',"payload":', 1, true)
  local header = payload and string.sub(job, 1, payload) or job
  return string.match(header, '"reason":"([^":\\|%c]*)') or ''
end
