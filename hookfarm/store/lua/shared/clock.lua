-- The server's time, read once per script so that everything a script does happens at one time.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

-- What Redis has stored as a number; 0 if it is none.
local function to_number(stored)
  return tonumber(stored or '') or 0
end

-- A number as Redis is to store it; Lua would write large ones in exponential form.
local function digits(number)
  return string.format('%.0f', number)
end
