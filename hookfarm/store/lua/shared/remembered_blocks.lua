-- requires: clock
-- constants: ANCHOR_BLOCKS
-- The remembered blocks of a chain: hashes to find the fork point of a reorg, events to withdraw.
--
--   blocks HASH         number -> row: hash (32 bytes), hash of the parent (zeros = unknown), number of events (4),
--                       time of publishing in Unix seconds (4); numbers without a block have no row. The row of
--                       an anchor ends with the 'events_below' of its own time (8).
--                       'state' -> four numbers, separated by spaces: lowest (only anchors are below this block),
--                       lowest_events (no events are stored below this block), bytes of all stored events,
--                       events_below (number of events of all forgotten blocks and anchors)
--   block events HASH   number -> events, deflated
local HASH_BYTES, COUNT_AT, TIME_AT, ANCHOR_AT = 32, 65, 69, 73

-- Returns the bytes of a hash, 0x and 64 hexadecimal digits; zeros for ''.
local function hash_bytes(hash)
  if hash == '' then
    return string.rep('\0', HASH_BYTES)
  end
  return (string.gsub(string.sub(hash, 3), '%x%x', function(pair)
    return string.char(tonumber(pair, 16))
  end))
end

-- Returns the first `HASH_BYTES` of a row.
local function hash_of(row)
  return string.sub(row, 1, HASH_BYTES)
end

local function count_of(row)
  return (struct.unpack('>I4', row, COUNT_AT))
end

-- Returns the time at which a block was published, in Unix seconds.
local function time_of(row)
  return (struct.unpack('>I4', row, TIME_AT))
end

-- Returns the state of the remembered blocks; `first` is the lowest number if none is remembered.
local function open_memory(blocks, events, first)
  local state = redis.call('HGET', blocks, 'state') or first .. ' ' .. first .. ' 0 0'
  local lowest, lowest_events, bytes, below = string.match(state, '^(%d+) (%d+) (%d+) (%d+)$')
  return {blocks = blocks, events = events, lowest = tonumber(lowest), lowest_events = tonumber(lowest_events),
          bytes = tonumber(bytes), events_below = tonumber(below)}
end

local function save_memory(memory)
  redis.call('HSET', memory.blocks, 'state', string.format('%.0f %.0f %.0f %.0f', memory.lowest, memory.lowest_events,
                                                           memory.bytes, memory.events_below))
end

-- Remembers a block that has no stored events. `row` has no time yet; `events` '' = none to store.
local function remember(memory, number, row, events)
  redis.call('HSET', memory.blocks, number, row .. struct.pack('>I4', math.floor(now_ms / 1000)))
  memory.lowest = math.min(memory.lowest, tonumber(number))
  if events ~= '' then
    if redis.call('HSET', memory.events, number, events) == 1 then
      memory.bytes = memory.bytes + #events
    end
    memory.lowest_events = math.min(memory.lowest_events, tonumber(number))
  end
end

local function forget_events(memory, number)
  local bytes = redis.call('HSTRLEN', memory.events, number)
  if bytes > 0 then
    redis.call('HDEL', memory.events, number)
    memory.bytes = memory.bytes - bytes
  end
end

-- Forgets the blocks above `target`, up to `newest`. If `target` is an anchor, it is the lowest block then.
local function forget_above(memory, target, newest)
  for number = math.max(target + 1, memory.lowest), newest do
    forget_events(memory, digits(number))
    redis.call('HDEL', memory.blocks, digits(number))
  end
  if target < memory.lowest then
    for number = target - target % ANCHOR_BLOCKS + ANCHOR_BLOCKS, memory.lowest - 1, ANCHOR_BLOCKS do
      redis.call('HDEL', memory.blocks, digits(number))
    end
    local row = redis.call('HGET', memory.blocks, digits(target)) or ''
    if #row > ANCHOR_AT then
      memory.events_below = struct.unpack('>I8', row, ANCHOR_AT) - count_of(row)
    end
    memory.lowest, memory.lowest_events = target, target
  end
end
