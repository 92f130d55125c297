-- Type check of keys, for scripts that must not fail half-way: Redis does not undo the writes of a failed script.

-- Returns an error that names the first key of the wrong type; nil if each key is missing or has its type.
-- `expected` is a list of key, type, key, type, ….
local function wrong_type(expected)
  for i = 1, #expected, 2 do
    local key, kind = expected[i], expected[i + 1]
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return {err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. '; it must be a ' .. kind}
    end
  end
end
