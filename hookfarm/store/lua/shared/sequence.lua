-- requires: clock
-- constants: DELIVERY_QUEUE, OPEN, SEQUENCE
-- Sequences and the list. Only scripts assign sequences, so the list is ordered by sequence.
--
-- A list element is an index entry, {"seq":N,"id":"…"}. The job itself is in the ledger.
local MAX_ARGUMENTS = 1000  -- Lua's stack limits the results of `unpack`.
local last_sequence
local scores, elements = {}, {}

local function next_sequence()
  local last = last_sequence or tonumber(redis.call('GET', SEQUENCE) or '0') or 0
  last_sequence = math.max(last + 1, now_us)
  return digits(last_sequence)
end

local function list_element(id, sequence)
  return '{"seq":' .. sequence .. ',"id":"' .. id .. '"}'
end

-- Writes the pushed elements. Call it before a search for an element that the script may have pushed, and at the end.
local function write_pushed()
  if #elements > 0 then
    redis.call('ZADD', OPEN, unpack(scores))
    redis.call('LPUSH', DELIVERY_QUEUE, unpack(elements))
    scores, elements = {}, {}
  end
end

-- Pushes a job to the list, behind all others. The caller counts the job in its endpoint's window.
local function push(id)
  local sequence = next_sequence()
  scores[#scores + 1], scores[#scores + 2] = sequence, id
  elements[#elements + 1] = list_element(id, sequence)
  if #elements >= MAX_ARGUMENTS then
    write_pushed()
  end
end

-- Returns the number of open jobs of all endpoints.
local function count_all_open()
  return redis.call('ZCARD', OPEN) + #elements
end

-- Returns whether the job is open with this sequence; false if it was settled or requeued.
local function is_open_as(id, sequence)
  local score = redis.call('ZSCORE', OPEN, id)
  return score and tonumber(score) == tonumber(sequence)
end

local function save_sequence()
  write_pushed()
  if last_sequence then
    redis.call('SET', SEQUENCE, digits(last_sequence))
  end
end
