"""chain -> `events:<chain_id>`, a process for one or more chains: every canonical log once, in order."""
