"""delivery_queue -> endpoint: processes that each pop a job, post it and settle it, one at a time."""
