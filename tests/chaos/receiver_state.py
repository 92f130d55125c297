"""What one receiver knows: it believes each webhook-id once, and `log.removed` takes back what it names."""

import contextlib
import threading
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field

from hookfarm.matching.payload import LOG_EMITTED, LOG_REMOVED
from tests.chaos.message_log import Log, Message, MessageLog


@dataclass
class ReceiverState:
    """`wrong` collects what must never happen, whatever comes after it."""

    emitted: dict[str, tuple[Log, int]] = field(default_factory=dict)
    """By webhook-id: the log, and the number of its block."""
    removed: dict[str, str] = field(default_factory=dict)
    """By the webhook-id that was taken back: the one that did it."""
    refused: int = 0
    """Messages that were answered with an error, and so have to come again."""
    repeated: int = 0
    wrong: list[str] = field(default_factory=list)

    def apply(self, message: Message) -> None:
        if not message.signed:
            self.wrong.append(f"not signed: {message}")
        if not message.accepted:
            self.refused += 1
        elif message.type == LOG_EMITTED:
            self._emit(message)
        elif message.type == LOG_REMOVED:
            self._remove(message)
        else:
            self.wrong.append(f"of no known type: {message}")

    def current(self, lowest: int = 0) -> Counter[Log]:
        """Each log, of blocks from `lowest` on, that was emitted and not taken back, and how often: once, when
        everything has arrived."""
        return Counter(
            log for name, (log, number) in self.emitted.items() if number >= lowest and name not in self.removed
        )

    def _emit(self, message: Message) -> None:
        if message.id not in self.emitted:
            self.emitted[message.id] = (message.log, message.block_number)
        elif self.emitted[message.id][0] == message.log:
            self.repeated += 1
        else:
            self.wrong.append(f"one id for two logs: {message}, {self.emitted[message.id]}")

    def _remove(self, message: Message) -> None:
        original = message.original or ""
        if original not in self.emitted:
            self.wrong.append(f"removed before its original: {message}")
        elif self.emitted[original][0] != message.log:
            self.wrong.append(f"removed under the name of another log: {message}")
        elif original not in self.removed:
            self.removed[original] = message.id
        elif self.removed[original] == message.id:
            self.repeated += 1
        else:
            self.wrong.append(f"removed twice: {message}, {self.removed[original]}")


class ReceiverStates:
    """Those of all receivers, by endpoint; safe for several threads."""

    def __init__(self, messages: MessageLog) -> None:
        self._messages = messages
        self._lock = threading.Lock()
        self._of: defaultdict[str, ReceiverState] = defaultdict(ReceiverState)

    @contextlib.contextmanager
    def now(self, endpoint: str) -> Iterator[ReceiverState]:
        """The endpoint's, with everything that has arrived until now; it stands still while the block lasts."""
        with self._lock:
            for message in self._messages.news():
                self._of[message.endpoint].apply(message)
            yield self._of[endpoint]


def difference(current: Counter[Log], wanted: Collection[Log]) -> str:
    """What is missing, too much, or there twice; empty if the state is as expected."""
    missing, extra = set(wanted) - current.keys(), current.keys() - set(wanted)
    twice = {log for log, times in current.items() if times > 1}
    named = (("missing", missing), ("extra", extra), ("twice", twice))
    return ", ".join(f"{len(logs)} {name} {sorted(logs)[:3]}" for name, logs in named if logs)
