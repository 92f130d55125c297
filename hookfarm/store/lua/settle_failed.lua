-- Worker -> retry, parked or dead: an attempt failed, or could not even be made.
-- An ordered endpoint's job goes back to the head of what is parked, and its window waits as long as the job.
--
-- ARGV 1 id   2 the sequence under which it was taken   3 endpoint   4 the job with this attempt in it
--      5 ms until the next attempt, '' = never: it is dead
--      6 what it says of the endpoint: 'failed', 'answered' or 'none'
--      7 ms of nothing but failures after which an endpoint is given up
--      8 attempts the log keeps for one endpoint, 0 = no log   9 number of the attempt   10 status   11 ms it took
-- Returns 1; 2 where the endpoint is to be given up; 0 where the job was requeued under another sequence meanwhile
-- and nothing was done.
--@part lately
local id, endpoint = ARGV[1], ARGV[3]
if not still_held(id, ARGV[2]) then
  return 0
end
redis.call('ZREM', OPEN, id)
redis.call('HSET', JOBS, id, ARGV[4])
local window = window_of(endpoint)
leave(window)
learn(endpoint, window, ARGV[6], tonumber(ARGV[11]))
local wait_ms = tonumber(ARGV[5])
load_limits(endpoint, window)
if not wait_ms then
  enter_dead(id, now_ms, ARGV[4])
  note_fact('hookfarm.delivery.dead', now_us, endpoint, {delivery = id})
  over(id)
elseif window.ordered then
  local head = redis.call('ZRANGE', PARKED .. endpoint, 0, 0, 'WITHSCORES')[2]
  park(endpoint, window, id, string.format('%.3f', math.min(now_us / 1000, (tonumber(head) or now_us) - 1)))
  window.wait = math.max(window.wait, now_ms + wait_ms)
  window.changed = true
else
  enter_retry(id, now_ms + wait_ms, endpoint)
end
local given_up = ARGV[6] ~= 'none' and now_ms - window.since >= tonumber(ARGV[7])
if ARGV[6] ~= 'none' and tonumber(ARGV[8]) > 0 then
  local log, attempt = ATTEMPTS .. endpoint, table.concat({id, ARGV[9], ARGV[10], ARGV[11]}, ' ')
  redis.call('XADD', log, '*', 'a', attempt)
  note_lately(endpoint, tonumber(ARGV[11]), 0)
  redis.pcall('XADD', ATTEMPTS_ALL, '*', 'a', endpoint .. ' ' .. attempt)
  bound_log(endpoint, redis.call('XLEN', log), tonumber(ARGV[8]))
end
return finish(given_up and 2 or 1)
