"""What the benchmarks share: servers, a farm to measure, webhooks to feed it, and the conditions of a run."""
