"""Shared parts of the random models of the queue: claimed jobs, and the run."""

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, run_state_machine_as_test

from hookfarm import delivery_queue
from hookfarm.delivery_queue import Settlement
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.event_stream import StreamEntry, StreamReader
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import CHAIN_ID
from tests.support.ledger import assert_ledger_invariant
from tests.support.queue import settle

EXAMPLES, STEPS = 60, 40


class QueueModel(RuleBasedStateMachine):
    """An emptied server, its queue, and the jobs claimed by workers."""

    def __init__(self, client: Any, connection: PipelinedConnection) -> None:
        super().__init__()
        self.client, self.connection = client, connection
        client.flushall()
        self.reader = StreamReader(connection, "model")
        self.reader.follow([CHAIN_ID])
        self.hands: list[ClaimedJob] = []

    def read_entry(self) -> StreamEntry:
        """Add an entry and read it, so that it is pending."""
        self.client.xadd(keys.events(CHAIN_ID), {"event": b"{}"})
        self.reader.send_read()
        [entry], _ = self.reader.receive()
        return entry

    def take(self, data: Any, hands: list[ClaimedJob]) -> ClaimedJob:
        """Draw and remove one of the claimed jobs."""
        claimed: ClaimedJob = data.draw(st.sampled_from(hands))
        hands.remove(claimed)
        return claimed

    def settle(self, settlement: Settlement) -> None:
        settle(self.connection, settlement)

    @invariant()
    def ledger_holds(self) -> None:
        assert_ledger_invariant(self.client)


def run_model(redis_url: str, model: Callable[[PipelinedConnection], QueueModel]) -> None:
    """Run random moves of the model, each run on a new instance."""
    connection = PipelinedConnection(redis_url, delivery_queue.BLOCK_SECONDS)
    try:
        run_state_machine_as_test(
            lambda: model(connection),  # type: ignore[arg-type]  # any callable will do
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
    finally:
        connection.close()
