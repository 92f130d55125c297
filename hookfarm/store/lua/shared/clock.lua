-- Time of the server, read once per script: all actions of a script have the same time.
local time = redis.call('TIME')
local now_us = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now_ms = math.floor(now_us / 1000)

-- Returns a stored value as a number; 0 if it is missing or not a number.
local function to_number(stored)
  return tonumber(stored or '') or 0
end

-- Returns a number in decimal digits, for Redis; Lua writes large numbers in exponential form.
local function digits(number)
  return string.format('%.0f', number)
end
