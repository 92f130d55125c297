"""Pop, claim and settle of single jobs, without a delivery process."""

import math
import threading

from hookfarm.delivery_queue import Settlement
from hookfarm.delivery_queue.job import (
    ClaimedJob,
    ForeignElement,
    Job,
    ListElement,
    decode_element,
    decode_job,
    invalid_job,
    parse_foreign,
)
from hookfarm.delivery_queue.settle import ERROR, SETTLE, settle_arguments
from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint
from hookfarm.store import keys
from hookfarm.store.clients import PipelinedConnection, ResponseError
from hookfarm.store.scripts import Script
from tests.support.delivery import delivered, enqueue, job
from tests.support.receivers import Receiver, Reply

LOGGED_ATTEMPTS = 1000
_CLAIM, _ADOPT, _DEAD_LETTER = Script("claim"), Script("adopt"), Script("dead_letter")


def pop_element(connection: PipelinedConnection) -> ListElement | ForeignElement | None:
    """Pop the next element of the list; None if the list is empty for a second."""
    [popped] = connection.execute(("BRPOP", keys.DELIVERY_QUEUE, 1))
    if isinstance(popped, ResponseError):
        raise popped
    return None if popped is None else decode_element(popped[1])


def claim(connection: PipelinedConnection, element: ListElement) -> ClaimedJob | None:
    """Return the job of the element; None if it is not open."""
    _, _, stored = _CLAIM.call_raw(connection, (), (element.id, element.sequence))
    return decode_job(stored, element.sequence)


def take(connection: PipelinedConnection) -> ClaimedJob | ForeignElement | None:
    """Pop the next element of the list and claim its job."""
    element = pop_element(connection)
    return claim(connection, element) if isinstance(element, ListElement) else element


def pop(connection: PipelinedConnection) -> ClaimedJob:
    """Pop and claim the next job of the list."""
    claimed = take(connection)
    assert isinstance(claimed, ClaimedJob)
    return claimed


def settle(
    connection: PipelinedConnection,
    *settlements: Settlement,
    logged_attempts: int = LOGGED_ATTEMPTS,
    disable_after_seconds: float = math.inf,
) -> str:
    """Settle jobs in one call; return the result of the last one. Raises the error of any."""
    results = settle_all(connection, *settlements, logged=logged_attempts, disable_after=disable_after_seconds)
    for result in results:
        if result.startswith(ERROR):
            raise ResponseError(result.removeprefix(ERROR))
    return results[-1]


def settle_all(
    connection: PipelinedConnection,
    *settlements: Settlement,
    logged: int = LOGGED_ATTEMPTS,
    disable_after: float = math.inf,
) -> list[str]:
    """Settle jobs in one call; return the result of each."""
    arguments = settle_arguments(settlements, logged, disable_after)
    return [str(result, "utf-8") for result in SETTLE.call_raw(connection, (), arguments)]


def adopt(connection: PipelinedConnection, element: ForeignElement, again: bool = False) -> ClaimedJob | None:
    """Enter a foreign element into the ledger; None if it was parked, or became a dead letter."""
    try:
        job_id, endpoint, body = parse_foreign(element.raw)
    except InvalidInput as error:
        _reject(connection, element, str(error))
        return None
    stored = Job(job_id, endpoint, body).encoded()
    result, *sequence = _ADOPT.call_raw(connection, (), (job_id, stored, endpoint, int(again)))
    if result == b"duplicate":
        _reject(connection, element, f"id: {job_id!r} is already in the queue")
    if result != b"claimed":
        return None
    return claim(connection, ListElement(int(float(sequence[0])), job_id))


def _reject(connection: PipelinedConnection, element: ForeignElement, reason: str) -> None:
    _DEAD_LETTER.call_raw(connection, (), invalid_job(element.raw, reason, keys.DELIVERY_QUEUE))


def deliver(connection: PipelinedConnection, claimed: ClaimedJob) -> None:
    """Settle the job as delivered."""
    settle(connection, delivered(claimed))


def enqueue_held_post(redis_url: str, receiver: Receiver, endpoint: Endpoint, *job_ids: str) -> threading.Event:
    """Enqueue jobs of the endpoint; the receiver answers the first POST after the returned event is set."""
    gate = threading.Event()
    receiver.reply_with(Reply(after=gate))
    enqueue(redis_url, *(job(endpoint, job_id) for job_id in job_ids))
    return gate
