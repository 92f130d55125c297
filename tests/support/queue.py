"""Claims and settles jobs as a delivery process does, without one."""

import threading

from hookfarm import delivery_queue
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.records import Endpoint
from hookfarm.store.clients import PipelinedConnection
from tests.support.delivery import delivered, enqueue, job
from tests.support.receivers import Receiver, Reply


def pop(connection: PipelinedConnection) -> ClaimedJob:
    """Claim the next job of the list."""
    delivery_queue.send_pop(connection, None)
    claimed, _ = delivery_queue.read_job(connection)
    assert isinstance(claimed, ClaimedJob)
    return claimed


def deliver(connection: PipelinedConnection, claimed: ClaimedJob) -> None:
    """Settle the job as delivered."""
    delivery_queue.settle_sync(connection, delivered(claimed))


def enqueue_held_post(redis_url: str, receiver: Receiver, endpoint: Endpoint, *job_ids: str) -> threading.Event:
    """Enqueue jobs of the endpoint; the receiver answers the first POST once the returned event is set."""
    gate = threading.Event()
    receiver.reply_with(Reply(after=gate))
    enqueue(redis_url, *(job(endpoint, job_id) for job_id in job_ids))
    return gate
