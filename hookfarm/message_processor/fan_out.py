"""One stream entry -> what becomes of it: a job for each endpoint that wants the event, or a rejection."""

from hookfarm.delivery_queue import Handled, Rejected
from hookfarm.errors import InvalidInput
from hookfarm.event_stream import Entry
from hookfarm.jobs import Job
from hookfarm.message_processor.decoder import Meanings
from hookfarm.message_processor.entries import read_event
from hookfarm.message_processor.matcher import Index, Match
from hookfarm.message_processor.payload import LOG_EMITTED, emitted, webhook_id
from hookfarm.records import Event


def handle(index: Index, entry: Entry) -> Handled:
    """Never raises for what is in the entry: what is no event is rejected with its reason."""
    try:
        event = read_event(entry)
    except InvalidInput as error:
        return Handled(entry, rejected=Rejected(entry.event or b"", str(error)))
    meanings = Meanings(event)
    return Handled(entry, tuple(_job(event, match, meanings) for match in index.match(event, meanings)))


def _job(event: Event, match: Match, meanings: Meanings) -> Job:
    decoded = None if match.signature is None else meanings.under(match.signature)
    body = emitted(event, decoded, match.subscription)
    return Job(webhook_id(event, match.endpoint, LOG_EMITTED), match.endpoint, body)
