"""What is to be delivered: something sent at a steady rate, and the events that a storm sends.

An event goes into `events:<chain>` and is fanned out by the real processor, so that whatever a storm kills stands
in the way of it. Its webhook-ids are known beforehand: they are hashes of the event and the endpoint.
"""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import orjson
import redis

from hookfarm.matching.payload import LOG_EMITTED, webhook_id
from hookfarm.records import Endpoint, Event, Subscription, new_endpoint_id, new_subscription_id
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.chaos.abort import Aborted, AbortSignal
from tests.chaos.endpoint_secrets import secret_of
from tests.chaos.recording import Recording

CHAIN_ID = 4711
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
_TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
TICK_SECONDS = 0.01
RETRY_SECONDS = 0.05
JOIN_SECONDS = 60.0


class Pace:
    """Calls `send(first, count)` from a thread of its own so that `per_second` of them are sent, numbered from 0.

    A `send` that fails with a RedisError is repeated until it succeeds or the abort signal is set: it must be safe
    to repeat. Any other error sets the abort signal.
    """

    def __init__(self, send: Callable[[int, int], None], per_second: float, abort: AbortSignal) -> None:
        self._send = send
        self._per_second = per_second
        self._abort = abort
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="load")
        self.error: Exception | None = None
        self.sent = 0

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Ends the load; what was sent until now has been sent wholly."""
        self._over.set()
        self._thread.join(JOIN_SECONDS)
        assert not self._thread.is_alive(), "the load does not end"
        if self.error is not None and not isinstance(self.error, Aborted):
            raise self.error

    def _run(self) -> None:
        began = time.monotonic()
        try:
            while not self._over.wait(TICK_SECONDS):
                due = int((time.monotonic() - began) * self._per_second)
                if due > self.sent:
                    self._send_surely(due - self.sent)
                    self.sent = due
        except Exception as error:
            self.error = error
            self._abort.set()

    def _send_surely(self, count: int) -> None:
        while True:
            try:
                self._send(self.sent, count)
                return
            except redis.RedisError:
                self._abort.sleep(RETRY_SECONDS)


class Load:
    """Events for `endpoints`, which stand in groups of `fan_out`: each event is for one whole group, in turn.

    A chain has one Load only.
    """

    def __init__(
        self,
        client: "redis.Redis",
        endpoints: Sequence[Endpoint],
        fan_out: int,
        chain_id: int = CHAIN_ID,
        abort: AbortSignal | None = None,
    ) -> None:
        self._client = client
        self._chain_id = chain_id
        self._endpoints = endpoints
        self._fan_out = fan_out
        self._abort = abort or AbortSignal()
        self._sent_at: list[float] = []

    def send(self, first: int, count: int) -> None:
        """Adds the events under ids of their own, so that repeating it after an error adds none twice."""
        at = time.monotonic()
        with self._client.pipeline(transaction=False) as pipe:
            for number in range(first, first + count):
                event = orjson.dumps(self._event(number))
                pipe.xadd(keys.events(self._chain_id), {keys.EVENT_FIELD: event}, id=f"{number + 1}-1")
            for reply in pipe.execute(raise_on_error=False):
                if isinstance(reply, Exception) and "equal or smaller" not in str(reply):
                    raise reply
        self._sent_at[first:] = [at] * count

    def owed(self) -> dict[str, float]:
        """The webhook-id of each delivery owed so far, and when its event was sent (monotonic)."""
        return {
            webhook_id(self._event(number), endpoint.id, LOG_EMITTED): at
            for number, at in enumerate(tuple(self._sent_at))
            for endpoint in self._group(number)
        }

    @contextlib.contextmanager
    def at(self, deliveries_per_second: float) -> Iterator[Pace]:
        """Sends at a steady rate as long as the block lasts, after what was sent before."""
        before = len(self._sent_at)
        per_second = deliveries_per_second / self._fan_out
        pace = Pace(lambda first, count: self.send(before + first, count), per_second, self._abort)
        pace.start()
        try:
            with self._abort.set_on_failure():
                yield pace
        finally:
            pace.stop()

    def _group(self, number: int) -> Sequence[Endpoint]:
        start = number * self._fan_out % len(self._endpoints)
        return self._endpoints[start : start + self._fan_out]

    def _event(self, number: int) -> Event:
        address = self._group(number)[0].subscriptions[0].addresses[0]
        return {
            "chain_id": self._chain_id,
            "block_number": number,
            "block_hash": f"0x{number:064x}",
            "block_timestamp": 1_700_000_000 + number,
            "transaction_hash": f"0x{number:064x}",
            "transaction_index": 0,
            "log_index": 0,
            "address": address,
            "topics": [_TRANSFER_TOPIC, f"0x{1:064x}", f"0x{2:064x}"],
            "data": f"0x{number:064x}",
            "removed": False,
        }


def add_endpoints(
    client: "redis.Redis",
    recording: Recording,
    count: int,
    fan_out: int = 1,
    behaviour: str = "200",
    group: int = 0,
    chain_id: int = CHAIN_ID,
) -> list[Endpoint]:
    """Endpoints at the recorder, with secrets it knows, a group of `fan_out` to each address.

    `group` is the number of the first group: those on one chain must differ.
    """
    registry = Registry(client)
    made = []
    for number in range(count):
        address = f"0x{group + number // fan_out + 1:040x}"
        subscription = Subscription(new_subscription_id(), chain_id, (address,), TRANSFER)
        named = new_endpoint_id()
        endpoint = Endpoint(named, recording.url(named, behaviour), subscriptions=(subscription,))
        made.append(replace(endpoint, secrets=((secret_of(named), None),)))
        registry.update(made[-1])
    return made
