-- requires: clock, job
-- constants: DELIVERY_QUEUE, OPEN, SEQUENCE
-- Sequences and the list. Only scripts assign sequences, so the order of the list is the order of sequences.
local last_sequence

local function next_sequence()
  local last = last_sequence or tonumber(redis.call('GET', SEQUENCE) or '0') or 0
  last_sequence = math.max(last + 1, now_us)
  return digits(last_sequence)
end

-- Jobs -> the list, in this order. The caller counts them in their endpoint's window.
local function push(ids, jobs)
  local scores, elements = {}, {}
  for i, id in ipairs(ids) do
    local sequence = next_sequence()
    scores[2 * i - 1], scores[2 * i] = sequence, id
    elements[i] = list_element(jobs[i], sequence)
  end
  redis.call('ZADD', OPEN, unpack(scores))
  redis.call('LPUSH', DELIVERY_QUEUE, unpack(elements))
end

-- Whether the job is open with this sequence: not settled, and not requeued under another one.
local function is_open_as(id, sequence)
  local score = redis.call('ZSCORE', OPEN, id)
  return score and tonumber(score) == tonumber(sequence)
end

local function save_sequence()
  if last_sequence then
    redis.call('SET', SEQUENCE, digits(last_sequence))
  end
end
