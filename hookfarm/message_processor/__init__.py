"""events:<chain_id> -> delivery_queue: each event becomes one job for every endpoint that wants it."""
