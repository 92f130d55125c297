"""events:<chain_id> -> delivery_queue: each event becomes one job per matching endpoint."""
