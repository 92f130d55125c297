-- Put in front of the scripts that must not fail half-way: what a script did before it fails stays done.
-- The error that names the first key of another type than it must have; nothing where all are right or missing.
--
-- `wanted` is key, type, key, type and so on.
local function wrong_type(wanted)
  for i = 1, #wanted, 2 do
    local key, kind = wanted[i], wanted[i + 1]
    local found = redis.call('TYPE', key).ok
    if found ~= 'none' and found ~= kind then
      return {err = 'WRONGTYPE ' .. key .. ' is a ' .. found .. '; it must be a ' .. kind}
    end
  end
end

