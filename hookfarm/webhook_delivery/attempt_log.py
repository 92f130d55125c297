"""One wide log line for each attempt, action `attempt`, always with the same fields:

    outcome      delivered; retry = failed, to be tried again; dead = failed, now a dead letter
    delivery     the webhook-id
    endpoint     the endpoint's id
    attempt      the number of the attempt, as in webhook-attempt
    status       the HTTP status; null if the endpoint did not respond
    error        why it did not, one of TRANSPORT_ERRORS; null if it did
    duration_ms  how long the POST took, from the name's resolution to the end of the reply
    queued_ms    how long the job was in the queue before, since it was last put there
    bytes_sent   the length of the body
    retry_in_s   seconds until the next attempt; null if there is none
    detail       the beginning of the response, or the error in words; null if it was delivered
    worker       which delivery process it was

A failed attempt is a warning and always written. One that succeeded is info, and written only where the setting
`log_attempts` is `all`: a line costs 25 us, which at 5,000 attempts a second is an eighth of a core.
"""

from hookfarm.delivery_queue import Attempt
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.http_client.outcome import Decision
from hookfarm.logs import FieldLogger

MAX_DETAIL_CHARACTERS = 200


def write(
    log: FieldLogger,
    worker: int,
    job: ClaimedJob,
    attempt: Attempt,
    duration_us: int,
    ended: float,
    decision: Decision,
) -> None:
    """`ended` is Unix time."""
    retry_in = decision.retry_in_seconds
    queued_us = max(0, int(ended * 1e6) - duration_us - job.sequence)
    failed = "dead" if retry_in is None else "retry"
    write_line = log.info if decision.delivered else log.warning
    write_line(
        "attempt",
        outcome="delivered" if decision.delivered else failed,
        delivery=job.id,
        endpoint=job.endpoint,
        attempt=attempt.number,
        status=attempt.outcome.get("status"),
        error=attempt.outcome.get("error"),
        duration_ms=round(duration_us / 1000, 1),
        queued_ms=round(queued_us / 1000, 1),
        bytes_sent=len(job.body),
        retry_in_s=None if retry_in is None else round(retry_in, 1),
        detail=None if decision.delivered else str(attempt.outcome["detail"])[:MAX_DETAIL_CHARACTERS],
        worker=worker,
    )
