"""Operators' queries of deliveries: log, attempts, dead letters, redelivery, statistics by endpoint."""
