"""Random moves of hop 2 against a model of it, with the ledger's invariant asserted after each."""

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from hookfarm import delivery_queue
from hookfarm.delivery_queue import EntryResult, HealthSignal, InvalidEntry
from hookfarm.delivery_queue.job import ClaimedJob, ForeignElement, Job, ListElement, decode_element
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import delivered
from tests.support.ledger import place
from tests.support.queue import adopt, claim, pop_element
from tests.support.queue_model import QueueModel, run_model

IDS = st.sampled_from([f"msg_{n}" for n in range(6)])
PAST, FUTURE = 1, 10**15
FAR_SECONDS = 3600.0


class Queue(QueueModel):
    """The model: what is queued, in whose hands, waiting, and dead. `stale` are hands whose job moved on."""

    def __init__(self, client: Any, connection: PipelinedConnection) -> None:
        super().__init__(client, connection)
        self.queue: list[str] = []
        """The ids in the list, the next to be popped first; some may have been settled meanwhile."""
        self.open: set[str] = set()
        self.stale: list[ClaimedJob] = []
        self.retry: dict[str, int] = {}
        self.dead: set[str] = set()
        self.attempts: dict[str, int] = {}
        self.last_sequence = 0

    @property
    def known(self) -> set[str]:
        return self.open | set(self.retry) | self.dead

    @rule(ids=st.lists(IDS, max_size=4), twice=st.booleans())
    def hand_off(self, ids: list[str], twice: bool) -> None:
        handled = [
            EntryResult(self.read_entry(), tuple(Job(i, f"ep_{i}", b'{"id":"%b"}' % i.encode()) for i in ids))
        ]
        new = [i for i in dict.fromkeys(ids) if i not in self.known]
        assert delivery_queue.enqueue_results(self.connection, handled).enqueued == len(new)
        if twice:
            assert delivery_queue.enqueue_results(self.connection, handled).enqueued == 0
        self.queue += new
        self.open |= set(new)
        self.attempts.update(dict.fromkeys(new, 1))

    @rule()
    def reject(self) -> None:
        entry = self.read_entry()
        delivery_queue.enqueue_results(self.connection, [EntryResult(entry, invalid=InvalidEntry(b"x", "why"))])
        self.dead |= {i.decode() for i in self.client.zrange(keys.DEAD, 0, -1)} - self.dead

    @precondition(lambda self: self.queue)
    @rule()
    def pop(self) -> None:
        element = pop_element(self.connection)
        assert isinstance(element, ListElement)
        assert element.id == self.queue.pop(0)
        is_current = element.id in self.open and self.client.zscore(keys.OPEN, element.id) == element.sequence
        claimed = claim(self.connection, element)
        assert (claimed is not None) == is_current
        if claimed is not None:
            assert claimed.attempt == self.attempts[claimed.id]
            assert claimed.body == b'{"id":"%b"}' % claimed.id.encode()
            self.hands.append(claimed)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def deliver(self, data: Any) -> None:
        claimed = self.take(data, self.hands)
        self.settle(delivered(claimed))
        self.open.discard(claimed.id)

    @precondition(lambda self: self.hands)
    @rule(data=st.data(), dies=st.booleans())
    def fail(self, data: Any, dies: bool) -> None:
        claimed = self.take(data, self.hands)
        job = claimed.with_outcome({"status": 500}, attempt=claimed.attempt + 1)
        self.settle(delivery_queue.failed(claimed, job, None if dies else FAR_SECONDS, HealthSignal.UNKNOWN))
        self.open.discard(claimed.id)
        self.attempts[claimed.id] = claimed.attempt + 1
        if dies:
            self.dead.add(claimed.id)
        else:
            self.retry[claimed.id] = FUTURE

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def give_back(self, data: Any) -> None:
        claimed = self.take(data, self.hands)
        self.settle(delivery_queue.returned(claimed))
        self.queue.append(claimed.id)

    @precondition(lambda self: self.hands)
    @rule(data=st.data())
    def orphan(self, data: Any) -> None:
        """The sweep takes a job out of hands that it thinks dead; they may come back later."""
        claimed = self.take(data, self.hands)
        assert delivery_queue.requeue_orphan(self.client, claimed.id, claimed.sequence)
        self.stale.append(claimed)
        if self.client.zscore(keys.DEAD, claimed.id) is None:
            self.queue.append(claimed.id)
        else:
            self.open.discard(claimed.id)
            self.dead.add(claimed.id)

    @precondition(lambda self: self.stale)
    @rule(data=st.data(), move=st.sampled_from(["fail", "die", "give_back", "orphan"]))
    def move_under_an_old_sequence(self, data: Any, move: str) -> None:
        claimed = self.take(data, self.stale)
        if move == "orphan":
            assert not delivery_queue.requeue_orphan(self.client, claimed.id, claimed.sequence)
        elif move == "give_back":
            self.settle(delivery_queue.returned(claimed))
        else:
            wait = None if move == "die" else FAR_SECONDS
            self.settle(delivery_queue.failed(claimed, claimed.with_outcome({}), wait, HealthSignal.UNKNOWN))

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def deliver_under_an_old_sequence(self, data: Any) -> None:
        """It was answered with a 2xx, so it is done wherever it is, among the dead too."""
        claimed = self.take(data, self.stale)
        self.settle(delivered(claimed))
        if claimed.id in self.open:
            self.open.discard(claimed.id)
            self.stale += [t for t in self.hands if t.id == claimed.id]
            self.hands = [t for t in self.hands if t.id != claimed.id]
        self.retry.pop(claimed.id, None)
        self.dead.discard(claimed.id)

    @precondition(lambda self: self.retry)
    @rule(data=st.data())
    def time_passes(self, data: Any) -> None:
        job_id = data.draw(st.sampled_from(sorted(self.retry)))
        self.retry[job_id] = PAST
        place(self.client, keys.RETRY, {job_id: PAST})

    @rule()
    def promote(self) -> None:
        due = sorted(i for i, at in self.retry.items() if at == PAST)
        assert delivery_queue.tick(self.client) == len(due)
        for job_id in due:
            del self.retry[job_id]
        self.queue += due
        self.open |= set(due)

    @rule(job_id=IDS)
    def adopt(self, job_id: str) -> None:
        name = job_id.encode()
        raw = b'{"endpoint":"ep_%b","payload":{"id":"%b"},"id":"%b"}' % (name, name, name)
        claimed = adopt(self.connection, ForeignElement(raw))
        if job_id in self.known:
            assert claimed is None
            self.dead |= {i.decode() for i in self.client.zrange(keys.DEAD, 0, -1)}
        else:
            assert claimed is not None
            self.hands.append(claimed)
            self.open.add(job_id)
            self.attempts[job_id] = 1

    @rule()
    def forget_scripts(self) -> None:
        self.client.script_flush()

    @rule(hours=st.sampled_from([-1, 1]))
    def step_the_clock(self, hours: int) -> None:
        """Sequences only grow: a clock an hour behind is a last sequence an hour ahead."""
        last = int(self.client.get(keys.SEQUENCE) or 0)
        if hours > 0 and last and last < 2**52:
            self.client.set(keys.SEQUENCE, last + hours * 3_600_000_000)

    @invariant()
    def everything_is_where_the_model_has_it(self) -> None:
        places = [
            {i.decode() for i in self.client.zrange(key, 0, -1)} for key in (keys.OPEN, keys.RETRY, keys.DEAD)
        ]
        assert places == [self.open, set(self.retry), self.dead]
        elements = [decode_element(raw) for raw in reversed(self.client.lrange(keys.DELIVERY_QUEUE, 0, -1))]
        assert [claimed.id for claimed in elements if isinstance(claimed, ListElement)] == self.queue

    @invariant()
    def sequences_only_grow(self) -> None:
        last = int(self.client.get(keys.SEQUENCE) or 0)
        assert last >= self.last_sequence
        self.last_sequence = last

    @invariant()
    def every_open_job_is_queued_or_in_a_hand_under_its_sequence(self) -> None:
        elements = [decode_element(raw) for raw in self.client.lrange(keys.DELIVERY_QUEUE, 0, -1)]
        held = [(t.id, t.sequence) for t in (*elements, *self.hands) if isinstance(t, ListElement | ClaimedJob)]
        owed = {(i.decode(), int(score)) for i, score in self.client.zrange(keys.OPEN, 0, -1, withscores=True)}
        assert owed <= set(held)


def test_no_sequence_of_moves_breaks_the_ledger(client: Any, redis_url: str) -> None:
    run_model(redis_url, lambda connection: Queue(client, connection))
