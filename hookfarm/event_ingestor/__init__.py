"""chain -> `events:<chain_id>`, one process per chain: every canonical log once, in order, from a checkpoint."""
