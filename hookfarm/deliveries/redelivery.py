"""Redelivery: deliveries are sent again with the same ids and a new retry schedule."""

from collections.abc import Iterable, Sequence

import redis

from hookfarm.deliveries import attempts, log
from hookfarm.deliveries.filters import DELIVERED, AttemptFilter
from hookfarm.deliveries.log import Delivery, DeliveryState
from hookfarm.delivery_queue.job import MAX_OUTCOMES, ClaimedJob, decode_job, encode
from hookfarm.errors import Conflict
from hookfarm.store.scripts import Script

_BATCH_SIZE = 500
_REDELIVER = Script("redeliver")


def redeliver(client: redis.Redis, delivery: Delivery) -> None:
    """Queue a delivery again. Raises Conflict if it is queued, has changed since its read, or is invalid."""
    [conflict] = redeliver_all(client, [delivery])
    if conflict is not None:
        raise conflict


def redeliver_all(client: redis.Redis, deliveries: Sequence[Delivery]) -> list[Conflict | None]:
    """Queue deliveries again, in order, in one round trip; return for each its conflict or None."""
    conflicts = [_refusal(delivery) for delivery in deliveries]
    accepted = [d for d, conflict in zip(deliveries, conflicts, strict=True) if conflict is None]
    if not accepted:
        return conflicts
    with client.pipeline(transaction=False) as pipe:
        pipe.script_load(_REDELIVER.source.decode())
        for delivery in accepted:
            arguments = (delivery.id, delivery.endpoint, _new_job(delivery), delivery.state.value, delivery.stored)
            pipe.evalsha(_REDELIVER.sha.decode(), 0, *arguments)
        answers = iter(pipe.execute()[1:])
    return [conflict or _changed(d, next(answers)) for d, conflict in zip(deliveries, conflicts, strict=True)]


def states_to_redeliver(status: str | None) -> frozenset[DeliveryState]:
    """Return the states to redeliver for a filter's status; queued states are excluded."""
    if status is None:
        return frozenset((DeliveryState.DELIVERED, DeliveryState.DEAD, DeliveryState.RETRY))
    if status == DELIVERED or status.startswith("2"):
        return frozenset((DeliveryState.DELIVERED,))
    return frozenset((DeliveryState.DEAD, DeliveryState.RETRY))


def find_ids(client: redis.Redis, attempt_filter: AttemptFilter, states: frozenset[DeliveryState]) -> list[str]:
    """Return deliveries with a matching attempt that are in one of `states`, oldest attempt first."""
    matching = [a.delivery for a in attempts.read(client, attempt_filter) if attempt_filter.matches(a)]
    ids = list(dict.fromkeys(reversed(matching)))
    batches = (ids[start : start + _BATCH_SIZE] for start in range(0, len(ids), _BATCH_SIZE))
    return [delivery_id for batch in batches for delivery_id in _in_states(client, batch, states)]


def _in_states(client: redis.Redis, ids: Sequence[str], states: frozenset[DeliveryState]) -> Iterable[str]:
    return (id_ for id_, state in zip(ids, log.states(client, ids), strict=True) if state in states)


def _refusal(delivery: Delivery) -> Conflict | None:
    if delivery.is_invalid_job:
        return Conflict(f"{delivery.id} is not a delivery: {delivery.reason}")
    if delivery.state in (DeliveryState.OPEN, DeliveryState.PARKED):
        return Conflict(f"{delivery.id} is queued already")
    return None


def _changed(delivery: Delivery, result: bytes) -> Conflict | None:
    return None if result == b"redelivered" else Conflict(f"{delivery.id} has changed; read it again")


def _new_job(delivery: Delivery) -> bytes:
    """Return the job of a redelivery; its count of attempts continues."""
    claimed = decode_job(delivery.stored)
    assert isinstance(claimed, ClaimedJob)
    made = claimed.attempt - (delivery.state is DeliveryState.RETRY)
    header = {k: v for k, v in claimed.header.items() if k not in ("reason", "orphaned")}
    kept = {**header, "attempt": made + 1, "base": made, "outcomes": list(delivery.attempts[-MAX_OUTCOMES:])}
    return encode(kept, claimed.body)
