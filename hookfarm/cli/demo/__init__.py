"""`hookfarm demo`: chain, Redis, farm and receiver on one machine."""
