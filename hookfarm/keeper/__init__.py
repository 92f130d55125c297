"""The process between scoreboard and Redis: publishes readiness and runs the periodic duties."""
