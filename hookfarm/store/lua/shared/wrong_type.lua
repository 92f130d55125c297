-- For scripts that must not fail half-way: what a script did before it fails stays done.

-- Returns the error that names the first key of another type than it must have; nothing if all are right or missing.
-- `expected` is key, type, key, type and so on.
local function wrong_type(expected)
  for i = 1, #expected, 2 do
    local key, kind = expected[i], expected[i + 1]
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return {err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. '; it must be a ' .. kind}
    end
  end
end
