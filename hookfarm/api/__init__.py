"""HTTP API, metrics and dashboard."""
