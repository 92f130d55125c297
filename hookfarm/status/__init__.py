"""State of the whole farm, read from Redis for `status`, `top`, `demo` and the API.

A snapshot is JSON: the status of each service, the depths of each hop, and rates. It costs two round trips and
about forty commands of constant time.
"""

from hookfarm.rates import Rates
from hookfarm.status.chains import ChainStatus, with_configured
from hookfarm.status.readiness import STALE_MS, ServiceStatus, is_stale
from hookfarm.status.snapshot import Snapshot, take_snapshot, take_snapshot_async

__all__ = [
    "STALE_MS",
    "ChainStatus",
    "Rates",
    "ServiceStatus",
    "Snapshot",
    "is_stale",
    "take_snapshot",
    "take_snapshot_async",
    "with_configured",
]
