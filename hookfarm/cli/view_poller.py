"""From the farm's picture in Redis to snapshots: keeps what the rates are made of."""

from collections import deque
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from hookfarm import keys
from hookfarm.cli.view_snapshot import Proof, Snapshot, chains_of, quantiles_of, services_of

RATE_SECONDS = 5.0
"""What the shown rate is the average of: longer than a block, so that a burst a block shows as its mean."""
KEPT_SAMPLES = 100
SECOND = 0.95
"""A status written a little early still makes its second full."""


class Poller:
    """One per view; `snapshot` for each picture, oftener than the farm writes its status or not."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque(maxlen=KEPT_SAMPLES)

    def snapshot(
        self,
        picture: Mapping[str, Any],
        seconds: float,
        heads: Mapping[int, int] | None = None,
        proof: Proof | None = None,
        *,
        draining: bool = False,
    ) -> Snapshot:
        """`picture` as `hookfarm.cli.picture` reads it; `seconds` is how long the viewer has watched."""
        status = picture.get("services", {}).get(keys.WEBHOOK_DELIVERY, {})
        self._note(status)
        return Snapshot(
            seconds=seconds,
            services=services_of(picture),
            chains=chains_of(picture, heads or {}),
            activity=status.get("activity", ""),
            delivered=status.get("delivered"),
            failed_attempts=status.get("failed_attempts", 0),
            dead=status.get("dead", 0),
            per_second=self._per_second(),
            recent=self._recent(),
            post=quantiles_of(status, "post_seconds"),
            queued_to_delivered=quantiles_of(status, "queued_to_delivered_seconds"),
            queue=picture.get("queue"),
            proof=proof,
            draining=draining,
        )

    def _note(self, status: Mapping[str, Any]) -> None:
        """Takes a status that was written since the last one; a count that fell is a farm that began anew."""
        delivered, timestamp = status.get("delivered"), status.get("timestamp")
        if delivered is None or timestamp is None:
            return
        at = datetime.fromisoformat(timestamp).timestamp()
        if self._samples and delivered < self._samples[-1][1]:
            self._samples.clear()
        if not self._samples or at > self._samples[-1][0]:
            self._samples.append((at, delivered))

    def _per_second(self) -> float | None:
        if len(self._samples) < 2:
            return None
        now, total = self._samples[-1]
        recent = [s for s in self._samples if now - RATE_SECONDS <= s[0] < now] or [self._samples[-2]]
        began, before = recent[0]
        return (total - before) / (now - began)

    def _recent(self) -> tuple[float, ...]:
        """One rate for each second or so, however often the farm writes."""
        rates: list[float] = []
        began, before = self._samples[0] if self._samples else (0.0, 0)
        for now, total in self._samples:
            if now - began >= SECOND:
                rates.append((total - before) / (now - began))
                began, before = now, total
        return tuple(rates)
