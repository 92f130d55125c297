"""Shared parts of the benchmarks: servers, the measured farm, webhooks, and the conditions of a run."""
