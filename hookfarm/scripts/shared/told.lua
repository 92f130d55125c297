-- Put in front of the scripts that tell endpoints of one log more than once.
local TOLD_SECONDS = 86400

-- Whether the delivery is in the ledger and not given up: what follows it has to wait.
local function owed(id)
  return redis.call('HEXISTS', JOBS, id) == 1 and not redis.call('ZSCORE', DEAD, id)
end
