-- requires: sequence, window, admission, backfill_queue
-- The end of every script that used a window or a sequence: fills the windows and saves both. Returns `result`.
local function flush(result)
  for endpoint, window in pairs(windows) do
    unpark(endpoint, window)
    fill_from_backfill(endpoint, window)
    save_window(endpoint, window)
  end
  save_sequence()
  return result
end
