-- One backfill of an endpoint holds it, so that those of an endpoint with an order go one after the other. It does so
-- again and again while it runs; killed, it holds it no longer once that time is over.
--
-- ARGV 1 endpoint   2 name of the backfill   3 for how many ms
-- Returns the name of the backfill that holds it now.
hold(ARGV[1], ARGV[2], ARGV[3])
return redis.call('GET', BACKFILLING .. ARGV[1])
