"""The invariant of hop 2, asserted after every test that moves jobs."""

from collections import Counter
from collections.abc import Mapping

import orjson
import redis

from hookfarm.deliveries import state_index
from hookfarm.deliveries.filters import DeadLetterFilter
from hookfarm.delivery_queue.job import ListElement, decode_element
from hookfarm.store import keys
from hookfarm.store.scripts import CIRCUIT_FAILURES


def assert_ledger_invariant(client: redis.Redis) -> None:
    """Assert the invariant of the ledger.

    - The ids of `jobs` are the disjoint union of `open`, `retry`, every `parked`, `dead` and `delivered`.
    - hookfarm's elements in the list are in sequence order. An element may be older than its job (requeued),
      or its job is settled. It is never newer than its job, nor beyond the last sequence. Foreign elements are
      ignored.
    - Each window counts its endpoint's open jobs; parked jobs have a reason to wait.
    - The pool counts the open jobs of unproven endpoints.
    - Open circuits agree with the windows, disabled endpoints with the limits.
    - Each job in a backfill queue is in exactly one registered queue, outside the ledger.
    """
    _assert_the_backfill_queues_agree(client)
    parked_keys = sorted(client.scan_iter(match=f"{keys.PARKED}*"))
    window_keys = sorted(client.scan_iter(match=f"{keys.WINDOW}*"))
    with client.pipeline(transaction=True) as pipe:
        pipe.hgetall(keys.JOBS)
        for key in (keys.OPEN, keys.RETRY, keys.DEAD, *parked_keys):
            pipe.zrange(key, 0, -1, withscores=True)
        pipe.lrange(keys.DELIVERY_QUEUE, 0, -1)
        pipe.get(keys.SEQUENCE)
        pipe.hgetall(keys.ENDPOINT_LIMITS)
        pipe.zunion([keys.WINDOW_TIMERS, keys.POOL_WAITING])
        pipe.zrange(keys.RETRY_INDEX, 0, -1)
        pipe.zrange(keys.DEAD_INDEX, 0, -1)
        pipe.zrange(keys.OPEN_CIRCUITS, 0, -1)
        pipe.smembers(keys.DISABLED_ENDPOINTS)
        pipe.hkeys(keys.ENDPOINTS)
        pipe.hkeys(keys.DELIVERED)
        pipe.hgetall(keys.UNPROVEN)
        for key in window_keys:
            pipe.hmget(key, "open", "failures", "proven")
        jobs, open_, retry, dead, *rest = pipe.execute()
    parked, rest = rest[: len(parked_keys)], rest[len(parked_keys) :]
    elements, last, limits, wake, retry_index, dead_index, circuits, paused_set, registered, *rest = rest
    delivered, unproven, *states = rest
    placed = [job_id for place in (open_, retry, dead, *parked) for job_id, _ in place] + delivered
    assert len(placed) == len(set(placed)), f"in two states at once: {sorted(placed)}"
    assert set(placed) == set(jobs), (
        f"ids {set(placed) - set(jobs)} without a job, jobs {set(jobs) - set(placed)} without a state"
    )
    assert _ids(retry_index) == Counter(job_id for job_id, _ in retry), "the index of retry differs from retry"
    assert _ids(dead_index) == Counter(3 * [job_id for job_id, _ in dead]), "the index of dead differs from dead"
    _assert_the_list_agrees(open_, elements, int(last or 0))
    opened = {_behind(key, keys.WINDOW): state for key, state in zip(window_keys, states, strict=True)}
    counted = {endpoint: int(count or 0) for endpoint, (count, *_) in opened.items()}
    found = Counter(orjson.loads(jobs[job_id])["endpoint"] for job_id, _ in open_)
    assert {e: n for e, n in counted.items() if n} == dict(found), "a window miscounts its open jobs"
    waiting = {_behind(key, keys.PARKED) for key in parked_keys}
    paused = {name.decode() for name, limit in limits.items() if limit.startswith(b"1 ")}
    stuck = waiting - set(found) - paused - {name.decode() for name in wake}
    assert not stuck, f"parked without a reason to wait: {stuck}"
    failing = {e for e, (_, failures, _) in opened.items() if int(failures or 0) >= CIRCUIT_FAILURES}
    known = {name.decode() for name in registered}
    _assert_the_pool_agrees(unproven, {e: int(n or 0) for e, (n, _, proven) in opened.items() if proven != b"1"})
    assert {name.decode() for name in circuits} == failing & known, "the open circuits differ from the windows"
    assert {name.decode() for name in paused_set} == paused & known, (
        "the disabled endpoints differ from the limits"
    )


def _assert_the_pool_agrees(stored: dict[bytes, bytes], open_: dict[str, int]) -> None:
    pool = {name.decode(): int(count) for name, count in stored.items()}
    total = pool.pop("*", 0)
    assert pool == {endpoint: count for endpoint, count in open_.items() if count}, "the pool miscounts open jobs"
    assert total == sum(pool.values()), "the pool's sum is wrong"


def _ids(index: list[bytes]) -> Counter[bytes]:
    """Return how often each job is in an index."""
    return Counter(member.rpartition(b"|")[2] for member in index)


def _assert_the_backfill_queues_agree(client: redis.Redis) -> None:
    queue_keys = sorted(client.scan_iter(match=f"{keys.BACKFILL_QUEUE}*"))
    with client.pipeline(transaction=True) as pipe:
        pipe.hkeys(keys.BACKFILL_JOBS)
        pipe.smembers(keys.BACKFILL_QUEUES)
        for key in queue_keys:
            pipe.zrange(key, 0, -1)
        jobs, known, *queues = pipe.execute()
    placed = [job_id for queue in queues for job_id in queue]
    assert sorted(placed) == sorted(jobs), f"backfill queues contain {placed}, but there are jobs for {jobs}"
    unknown = {_behind(key, keys.BACKFILL_QUEUE) for key in queue_keys} - {name.decode() for name in known}
    assert not unknown, f"unregistered backfill queues: {unknown}"


def _behind(key: bytes, prefix: str) -> str:
    return key.decode().removeprefix(prefix)


def _assert_the_list_agrees(open_: list[tuple[bytes, float]], elements: list[bytes], last: int) -> None:
    sequences = {job_id.decode(): int(score) for job_id, score in open_}
    own = [element for element in map(decode_element, elements) if isinstance(element, ListElement)]
    for claimed in own:
        found = sequences.get(claimed.id, claimed.sequence)
        assert claimed.sequence <= found, (
            f"{claimed.id} is queued with sequence {claimed.sequence} and open with {found}"
        )
    order = [claimed.sequence for claimed in own]
    assert order == sorted(order, reverse=True), f"the list is not in sequence order: {order}"
    assert max(sequences.values(), default=0) <= last, "a sequence beyond the last one assigned"


def assert_drained(client: redis.Redis) -> None:
    """Assert that everything is delivered; dead letters may remain."""
    assert_ledger_invariant(client)
    for key in (keys.OPEN, keys.RETRY, *client.scan_iter(match=f"{keys.PARKED}*")):
        left = client.zrange(key, 0, -1)
        assert not left, f"left in {key}: {left}"
    queued = client.lrange(keys.DELIVERY_QUEUE, 0, -1)
    assert not queued, f"left in the list: {queued}"


def place(client: redis.Redis, where: str, times: Mapping[str, int]) -> None:
    """Move jobs of the ledger into retry or dead, or change their times there, including the index."""
    client.zadd(where, dict(times))
    client.delete(keys.RETRY_INDEX if where == keys.RETRY else keys.DEAD_INDEX)
    state_index.retry(client, "", None, 1)
    state_index.dead(client, DeadLetterFilter(endpoint=""), None, 1)
