"""Deliveries as operators query them: log, attempts, dead letters, redelivery, statistics by endpoint."""
