-- requires: sequence, pool, window, free_window, admission, backfill_queue
-- constants: POOL_WAITING
-- Last step of every script that uses windows or sequences.
local MAX_WOKEN = 50

-- Fills a window and saves it.
local function finish_window(endpoint, window)
  unpark(endpoint, window)
  fill_from_backfill(endpoint, window)
  save_window(endpoint, window)
  windows[endpoint] = nil
end

-- Finishes all windows in the order in which they were read, including those that are read meanwhile.
local function finish_windows()
  local i = 1
  while read_in_order[i] do
    local endpoint = read_in_order[i]
    if windows[endpoint] then
      finish_window(endpoint, windows[endpoint])
    end
    i = i + 1
  end
  read_in_order = {}
end

-- Fills the windows of endpoints that wait for the pool while the pool has room; only if the script has read the pool.
local function wake_waiting()
  for _ = 1, unproven_open and MAX_WOKEN or 0 do
    local waiting = pool_room() > 0 and redis.call('ZPOPMIN', POOL_WAITING)[1]
    if not waiting then
      return
    end
    window_of(waiting)
    finish_windows()
  end
end

-- Fills and saves all windows and saves the sequence; returns `result`.
local function flush(result)
  finish_windows()
  wake_waiting()
  save_sequence()
  return result
end
