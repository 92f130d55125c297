"""What an ingestor's slot shows of each of its chain's nodes: which one is in use, which rest and why, what each
was asked.

Numbers are counters of the slot; origins and last errors have fields of fixed width in its note, so that who reads
in the middle of a write finds an error that is half another one, and never another origin.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

from hookfarm.chain.node_pool import FAILURE_KINDS, NodeProfile
from hookfarm.errors import WrongChain
from hookfarm.farm.scoreboard import COUNTERS, LABEL_BYTES, Slot
from hookfarm.security import redaction

NODES = 8
"""More nodes than these of one chain count together with the last of them."""
METHODS = (
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getLogs",
    "eth_getBlockReceipts",
    "eth_blockNumber",
    "eth_chainId",
    "eth_subscribe",
    "debug_traceBlockByHash",
    "debug_traceBlockByNumber",
    "trace_block",
    "other",
)
CALLS = 16
"""Calls by node and method; each call of a batch is one."""
CALLS_FAILED = CALLS + NODES * len(METHODS)
"""By node and kind of failure."""
REQUESTS = CALLS_FAILED + NODES * len(FAILURE_KINDS)
"""By node, as all that follow; a batch is one."""
FAILED_AT_MS = REQUESTS + NODES
"""When it was last left for an error, Unix milliseconds; 0 = never."""
WRONG_CHAIN = FAILED_AT_MS + NODES
"""1 where that was because it serves another chain."""
COOLDOWN_UNTIL_MS = WRONG_CHAIN + NODES
"""Until when it is not asked, Unix milliseconds."""
ACTIVE = COOLDOWN_UNTIL_MS + NODES
"""The place of the node that is followed, from 1; 0 = none is."""
assert ACTIVE < COUNTERS

_ORIGIN_CHARACTERS = 64
_ERROR_CHARACTERS = LABEL_BYTES // NODES - _ORIGIN_CHARACTERS
_ERRORS_FROM = NODES * _ORIGIN_CHARACTERS


@dataclass(frozen=True)
class Seen:
    """One node as the slot shows it; `errors` are calls by kind of failure, None where nothing ever happened."""

    origin: str
    is_active: bool
    is_of_wrong_chain: bool
    cooldown_until_ms: int
    failed_at_ms: int | None
    last_error: str
    requests: int
    calls: int
    errors: dict[str, int]

    @property
    def kind(self) -> Literal["ws", "http"]:
        """`ws`: it announces its blocks; `http`: it is polled."""
        return "ws" if self.origin.startswith("ws") else "http"


def call(node: int, method: str) -> int:
    """The counter of calls of a method to the node of that place in the configuration."""
    return CALLS + node * len(METHODS) + METHODS.index(method if method in METHODS else "other")


def failed_call(node: int, failure: str) -> int:
    return CALLS_FAILED + node * len(FAILURE_KINDS) + FAILURE_KINDS.index(failure)


def origins(slot: Slot) -> list[str]:
    """Of the nodes that are watched, by place."""
    return _fields(slot.label[:_ERRORS_FROM].ljust(_ERRORS_FROM), _ORIGIN_CHARACTERS)


def seen(slot: Slot) -> list[Seen]:
    """All of them, by place."""
    errors = [slot.label[start : start + _ERROR_CHARACTERS].strip() for start in _error_places()]
    return [
        Seen(
            origin,
            slot.counter(ACTIVE) == place + 1,
            bool(slot.counter(WRONG_CHAIN + place)),
            slot.counter(COOLDOWN_UNTIL_MS + place),
            slot.counter(FAILED_AT_MS + place) or None,
            errors[place],
            slot.counter(REQUESTS + place),
            sum(slot.counter(call(place, method)) for method in METHODS),
            {kind: slot.counter(failed_call(place, kind)) for kind in FAILURE_KINDS},
        )
        for place, origin in enumerate(origins(slot))
    ]


class Nodes:
    """Writes it."""

    def __init__(self, slot: Slot, clock: Callable[[], float] = time.time) -> None:
        self._slot = slot
        self._clock = clock
        self._pool: tuple[NodeProfile, ...] = ()

    def watch(self, pool: Sequence[NodeProfile]) -> None:
        """Counts what each of them is asked. Where they are not those of the predecessor, from zero; what that one
        was using, and for how long it would have left others alone, is over with it."""
        self._pool = tuple(pool)
        shown = [profile.origin[: _ORIGIN_CHARACTERS - 1] for profile in pool[:NODES]]
        if origins(self._slot) != shown:
            for index in range(CALLS, ACTIVE):
                self._slot.set_counter(index, 0)
            self._slot.label = "".join(origin.ljust(_ORIGIN_CHARACTERS) for origin in shown)
        for index in range(COOLDOWN_UNTIL_MS, ACTIVE + 1):
            self._slot.set_counter(index, 0)
        for profile in pool:
            profile.on_call = partial(self._called, self._place(profile))
            profile.on_failure = partial(self._call_failed, self._place(profile))

    def requested(self, profile: NodeProfile) -> None:
        self._slot.add(REQUESTS + self._place(profile))

    def in_use(self, profile: NodeProfile) -> None:
        """This one is followed from now on, and no other."""
        place = self._place(profile)
        self._slot.set_counter(WRONG_CHAIN + place, 0)
        self._slot.set_counter(COOLDOWN_UNTIL_MS + place, 0)
        self._slot.set_counter(ACTIVE, place + 1)

    def failed(self, profile: NodeProfile, error: Exception, cooldown_seconds: float) -> None:
        """It is not asked for so long, because of that."""
        place, now = self._place(profile), self._clock()
        if self._slot.counter(ACTIVE) == place + 1:
            self._slot.set_counter(ACTIVE, 0)
        self._slot.set_counter(WRONG_CHAIN + place, int(isinstance(error, WrongChain)))
        self._slot.set_counter(FAILED_AT_MS + place, int(now * 1000))
        self._slot.set_counter(COOLDOWN_UNTIL_MS + place, int((now + cooldown_seconds) * 1000))
        self._write_error(place, _in_short(error, profile.origin))

    def _place(self, profile: NodeProfile) -> int:
        return min(self._pool.index(profile), NODES - 1)

    def _called(self, node: int, method: str) -> None:
        self._slot.add(call(node, method))

    def _call_failed(self, node: int, failure: str) -> None:
        self._slot.add(failed_call(node, failure))

    def _write_error(self, place: int, error: str) -> None:
        note, start = self._slot.label.ljust(LABEL_BYTES), list(_error_places())[place]
        field = error[:_ERROR_CHARACTERS].ljust(_ERROR_CHARACTERS)
        self._slot.label = note[:start] + field + note[start + _ERROR_CHARACTERS :]


def _error_places() -> range:
    return range(_ERRORS_FROM, LABEL_BYTES, _ERROR_CHARACTERS)


def _fields(text: str, width: int) -> list[str]:
    """Those that are not empty."""
    found = (text[start : start + width].strip() for start in range(0, len(text), width))
    return [field for field in found if field]


def _in_short(error: Exception, origin: str) -> str:
    """Without the origin that it begins with, and without secrets; a letter of it is a byte."""
    said = " ".join(redaction.sanitize(str(error)).split()).partition(f"{origin}: ")
    reason = said[2] if said[1] else said[0].partition(f"{origin} ")[2] or said[0]
    return reason.replace("…", "...").encode("ascii", "replace").decode()
