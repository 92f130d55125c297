-- constants: DELIVERY_QUEUE, JOBS, OPEN, REGISTRY_REVISION
-- Claims the jobs of popped elements. An element is valid only if its job is open with the element's sequence.
--
-- ARGV id, sequence for each element
-- Returns the registry's revision ('0' if it is invalid), the length of the list, and the job of each element. The job
-- is '' if the element is invalid: the job was settled, cancelled or requeued, or never existed.
local ids = {}
for i = 1, #ARGV, 2 do
  ids[#ids + 1] = ARGV[i]
end
local revision = redis.pcall('GET', REGISTRY_REVISION)
revision = type(revision) == 'string' and string.match(revision, '^%d+$') or '0'
local answer = {revision, redis.call('LLEN', DELIVERY_QUEUE)}
local sequences = redis.call('ZMSCORE', OPEN, unpack(ids))
local jobs = redis.call('HMGET', JOBS, unpack(ids))
for i in ipairs(ids) do
  local is_open = sequences[i] and tonumber(sequences[i]) == tonumber(ARGV[2 * i])
  answer[#answer + 1] = is_open and jobs[i] or ''
end
return answer
