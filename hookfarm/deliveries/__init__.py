"""The deliveries as operators query them: log, attempts, dead letters, statistics by endpoint and by state."""
