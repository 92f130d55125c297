"""The registry of endpoints: stored in Redis, listed by page, reconciled with a file."""
