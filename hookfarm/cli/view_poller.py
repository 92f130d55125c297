"""From the farm's pictures to snapshots: keeps what the rates are made of."""

from collections.abc import Mapping
from typing import Any

from hookfarm.cli.view_snapshot import (
    Proof,
    Snapshot,
    backfills_of,
    chains_of,
    endpoints_of,
    quantiles_of,
    services_of,
)
from hookfarm.status import Rates
from hookfarm.store import keys


class Poller:
    """One per view; `snapshot` for each picture, oftener than the farm writes its status or not."""

    def __init__(self) -> None:
        self._rates = Rates()

    def snapshot(
        self,
        picture: Mapping[str, Any],
        seconds: float,
        heads: Mapping[int, int] | None = None,
        proof: Proof | None = None,
        *,
        draining: bool = False,
    ) -> Snapshot:
        """`picture` as `hookfarm.status` takes it; `seconds` is how long the viewer has watched."""
        self._rates.observe(picture.get("services", {}).get(keys.WEBHOOK_DELIVERY, {}))
        delivery = picture.get("delivery", {})
        return Snapshot(
            seconds=seconds,
            services=services_of(picture),
            chains=chains_of(picture, heads or {}),
            activity=delivery.get("activity", ""),
            delivered=delivery.get("delivered"),
            failed_attempts=delivery.get("failed_attempts"),
            dead=delivery.get("dead"),
            per_second=self._rates.per_second,
            recent=self._rates.each_second,
            post=quantiles_of(delivery, "post_ms"),
            queued_to_delivered=quantiles_of(delivery, "queued_to_delivered_ms"),
            post_since_start=quantiles_of(delivery.get("since_start", {}), "post_ms"),
            queue=picture.get("queue"),
            endpoints=endpoints_of(picture),
            backfills=backfills_of(picture),
            proof=proof,
            draining=draining,
        )
