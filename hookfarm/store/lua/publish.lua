-- requires: clock, wrong_type, remembered_blocks
-- constants: ANCHOR_BLOCKS, MAX_ANCHORS
-- Publishes the events of blocks and sets the checkpoint (chain -> stream), all or nothing.
-- The first write adds, so a full Redis refuses the whole script, and the ingestor waits (back-pressure).
--
-- KEYS 1 checkpoint STRING   2 stream   3 blocks HASH   4 block events HASH   5 heads HASH
--      6 SET of the endpoints that want transfers
-- ARGV 1 expected checkpoint, '' = none   2 new checkpoint   3 window of the remembered blocks, see forget_old
--      4 '1' = the events include the blocks' transfers
--      5 events as JSON, one per line; separate arguments would cost both sides half as much again
--      then number, row, events ('' = do not store them) for each block, ascending
-- Returns 'published', or 'published_transfers_wanted' if an endpoint wants transfers. Returns 'refused', without any
-- write, if the checkpoint is not the expected one, or if wanted transfers are missing.
-- Returns an error, before any write, if a key has the wrong type.
-- Blocks forgotten by one call, besides those that it adds: a script must not block Redis for long.
local MAX_FORGOTTEN = 256

-- Forgets the lowest block, unless it becomes an anchor. `row` is its row, false = a number without a block.
local function forget_lowest(memory, row)
  local number = memory.lowest
  if row then
    memory.events_below = memory.events_below + count_of(row)
  end
  if row and number % ANCHOR_BLOCKS == 0 then
    local anchor = string.sub(row, 1, ANCHOR_AT - 1) .. struct.pack('>I8', memory.events_below)
    redis.call('HSET', memory.blocks, digits(number), anchor)
  else
    redis.call('HDEL', memory.blocks, digits(number))
  end
  if number % ANCHOR_BLOCKS == 0 then
    redis.call('HDEL', memory.blocks, digits(number - MAX_ANCHORS * ANCHOR_BLOCKS))
  end
  memory.lowest = number + 1
end

-- Forgets the blocks, and the events of further blocks, that the window no longer covers. The newest ones stay in any
-- case. Events of final blocks are forgotten, too.
--
-- `window`: minimum and maximum number of blocks, seconds of blocks, seconds of events, bytes of events; separated by
-- spaces. `heads`: the key of the finality heads. `added`: the number of blocks that the call has added.
local function forget_old(memory, window, newest, heads, added)
  local min_blocks, max_blocks, seconds, events_seconds, max_bytes =
    string.match(window, '^(%d+) (%d+) (%d+) (%d+) (%d+)$')
  local now, last, most = math.floor(now_ms / 1000), newest - min_blocks, added + MAX_FORGOTTEN
  if memory.lowest > last and memory.lowest_events > last then
    return
  end
  local finalized, left = tonumber(redis.call('HGET', heads, 'finalized') or -1), most
  while memory.lowest_events <= last and left > 0 do
    local number = digits(memory.lowest_events)
    local row = redis.call('HGET', memory.blocks, number)
    if row and memory.bytes <= tonumber(max_bytes) and memory.lowest_events > finalized
       and time_of(row) > now - events_seconds then
      break
    end
    forget_events(memory, number)
    memory.lowest_events, left = memory.lowest_events + 1, left - 1
  end
  left = most
  while memory.lowest <= last and left > 0 do
    local number = digits(memory.lowest)
    local row = redis.call('HGET', memory.blocks, number)
    if row and newest - memory.lowest < tonumber(max_blocks) and time_of(row) > now - seconds then
      break
    end
    if memory.lowest_events <= memory.lowest then
      forget_events(memory, number)
      memory.lowest_events = memory.lowest + 1
    end
    forget_lowest(memory, row)
    left = left - 1
  end
end

local wrong = wrong_type({KEYS[1], 'string', KEYS[2], 'stream', KEYS[3], 'hash', KEYS[4], 'hash', KEYS[5], 'hash',
                          KEYS[6], 'set'})
if wrong then
  return wrong
end
local current = redis.call('GET', KEYS[1]) or ''
if current ~= ARGV[1] then
  return 'refused'
end
local transfers_wanted = redis.call('EXISTS', KEYS[6]) == 1
if transfers_wanted and ARGV[4] ~= '1' then
  return 'refused'
end
local events, from = ARGV[5], 1
while from <= #events do
  local newline = string.find(events, '\n', from, true) or #events + 1
  redis.call('XADD', KEYS[2], '*', 'event', string.sub(events, from, newline - 1))
  from = newline + 1
end
local memory = open_memory(KEYS[3], KEYS[4], ARGV[6])
for i = 6, #ARGV, 3 do
  remember(memory, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
local newest = ARGV[#ARGV - 2]
forget_old(memory, ARGV[3], tonumber(newest), KEYS[5], (#ARGV - 5) / 3)
save_memory(memory)
redis.call('HSET', KEYS[5], 'latest', newest)
redis.call('SET', KEYS[1], ARGV[2])
return transfers_wanted and 'published_transfers_wanted' or 'published'
