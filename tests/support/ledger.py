"""The invariant of hop 2, to be asserted after every test that moved a job."""

import redis

from hookfarm import keys
from hookfarm.jobs import Taken, decode


def assert_ledger_invariant(client: "redis.Redis") -> None:
    """The ids of `jobs` are the disjoint union of `open`, `retry` and `dead`, and the list agrees with them.

    Our own elements of the list are in the order of their sequences. One whose job was settled or requeued
    meanwhile is left behind; none is newer than its job, and no sequence beyond the last one given out. Elements
    of others are not looked at.
    """
    with client.pipeline(transaction=True) as pipe:
        pipe.hkeys(keys.JOBS)
        for key in (keys.OPEN, keys.RETRY, keys.DEAD):
            pipe.zrange(key, 0, -1, withscores=True)
        pipe.lrange(keys.DELIVERY_QUEUE, 0, -1)
        pipe.get(keys.SEQUENCE)
        jobs, open_, retry, dead, elements, last = pipe.execute()
    placed = [job_id for place in (open_, retry, dead) for job_id, _ in place]
    assert len(placed) == len(set(placed)), f"in two places at once: {sorted(placed)}"
    assert set(placed) == set(jobs), (
        f"places {set(placed) - set(jobs)} without a job, jobs {set(jobs) - set(placed)} in no place"
    )
    sequences = {job_id.decode(): int(score) for job_id, score in open_}
    own = [taken for taken in map(decode, elements) if isinstance(taken, Taken)]
    for taken in own:
        found = sequences.get(taken.id, taken.sequence)
        assert taken.sequence <= found, f"{taken.id} is queued under {taken.sequence} and open under {found}"
    order = [taken.sequence for taken in own]
    assert order == sorted(order, reverse=True), f"the list is not in the order of sequences: {order}"
    assert max(sequences.values(), default=0) <= int(last or 0), "a sequence beyond the last one given out"


def assert_drained(client: "redis.Redis") -> None:
    """Nothing is owed any more; dead letters may be left."""
    assert_ledger_invariant(client)
    for key in (keys.OPEN, keys.RETRY):
        left = client.zrange(key, 0, -1)
        assert not left, f"left in {key}: {left}"
    queued = client.lrange(keys.DELIVERY_QUEUE, 0, -1)
    assert not queued, f"left in the list: {queued}"
