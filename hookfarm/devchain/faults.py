"""Faults that a devchain can have, and those that are active.

`KINDS` is the whole table: a new fault is a row there and the one place that checks it. Several may be active at
once, also of one kind (an error for each of two methods). A fault holds for `count` occasions, or until it is
cleared if that is None; its row defines an occasion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hookfarm.devchain.rpc_errors import PROVIDER_ERRORS
from hookfarm.errors import InvalidInput

FaultValue = str | int | None


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: its description and its parameters.

    `parameters` maps each name to its default, which also gives its type (None: a method).
    """

    what: str
    parameters: Mapping[str, FaultValue] = field(default_factory=dict)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The texts that a parameter may be, if restricted."""


KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "silence": FaultKind(
            "Sockets stay open but nothing is answered and no head announced. Occasion: a request"
        ),
        "cut": FaultKind(
            "Open WebSockets are dropped at once; while it holds, requests and handshakes end "
            "with a closed connection. Occasion: a request or handshake"
        ),
        "half_frame": FaultKind(
            "An answer breaks off in the middle and the connection with it. Occasion: an answer"
        ),
        "http_status": FaultKind(
            "HTTP requests and handshakes are refused with a status and `Retry-After` seconds "
            "(0 = no such header). Occasion: a request or handshake",
            {"status": 429, "retry_after": 1},
        ),
        "error": FaultKind(
            "A method (all, without one) answers an error. Occasion: a call",
            {"method": None, "code": -32000, "message": "devchain fault"},
        ),
        "latency": FaultKind(
            "A method (all, without one) answers late. Occasion: a call",
            {"method": None, "milliseconds": 1000},
        ),
        "nulls": FaultKind(
            "A method (without one: those that answer blocks and receipts) answers null. Occasion: a call",
            {"method": None},
        ),
        "omitted_logs": FaultKind(
            "eth_getLogs leaves out its last logs, or its first ones. Occasion: an answer that had logs",
            {"logs": 1, "where": "last"},
            {"where": ("last", "first")},
        ),
        "omitted_receipt_logs": FaultKind(
            "eth_getBlockReceipts leaves out the last logs of the block. Occasion: an answer that had logs",
            {"logs": 1},
        ),
        "omitted_transactions": FaultKind(
            "Blocks with full transactions leave out their last ones. Occasion: an answer that had some",
            {"transactions": 1},
        ),
        "omitted_receipts": FaultKind(
            "eth_getBlockReceipts leaves out the last ones. Occasion: an answer that had some", {"receipts": 1}
        ),
        "capped_results": FaultKind(
            "eth_getLogs answers the first so many logs as if they were all. Occasion: an answer cut off",
            {"logs": 1000},
        ),
        "lag": FaultKind(
            "Requests are answered as if the head were so many blocks back, by a balancer one in so many of "
            "them; newHeads goes on. Occasion: a request that reads the chain",
            {"blocks": 1, "one_in": 1},
        ),
        "refused_ranges": FaultKind(
            "eth_getLogs refuses ranges of more blocks than this, with the error of `provider`, if given "
            "(see rpc_errors.PROVIDER_ERRORS). Occasion: a refusal",
            {"blocks": 10, "code": -32602, "message": "query exceeds max block range", "provider": ""},
            {"provider": ("", *PROVIDER_ERRORS)},
        ),
        "refused_results": FaultKind(
            "eth_getLogs refuses answers of more logs than this; `provider` as above. Occasion: a refusal",
            {"logs": 100, "code": -32005, "message": "query returned more than 100 results", "provider": ""},
            {"provider": ("", *PROVIDER_ERRORS)},
        ),
        "clamped_ranges": FaultKind(
            "eth_getLogs answers a range beyond the head as far as it gets instead of refusing it. "
            "Occasion: such an answer"
        ),
        "unsupported_tags": FaultKind(
            "The tags safe and finalized are refused. Occasion: a refusal",
            {"code": -32602, "message": "safe and finalized block are not supported"},
        ),
        "refused_batches": FaultKind(
            "Batches of more calls than this are refused as a whole. Occasion: a refusal",
            {"calls": 1, "code": -32600, "message": "batch too large"},
        ),
        "hidden_blooms": FaultKind(
            "Headers are shown with a bloom of zeros, or with null. Occasion: a header",
            {"shown": "zeros"},
            {"shown": ("zeros", "null")},
        ),
        "local_log_indices": FaultKind("Logs are counted in each transaction anew. Occasion: an answer with logs"),
        "bare_logs": FaultKind(
            "Logs have no blockTimestamp, or one of zero. Occasion: an answer with logs",
            {"shown": "none"},
            {"shown": ("none", "zero")},
        ),
        "reorg_on_call": FaultKind(
            "The last blocks are replaced by as many others (and `more`) just before a method is answered. "
            "Occasion: such a call",
            {"method": "eth_getLogs", "depth": 1, "more": 0},
        ),
        "return_on_call": FaultKind(
            "The chain goes back to the branch that the last reorg left, just before a method is answered. "
            "Occasion: such a call",
            {"method": "eth_getLogs"},
        ),
        "swapped_heads": FaultKind("A head is announced after its successor. Occasion: a head held back"),
        "dropped_heads": FaultKind("A head is not announced. Occasion: a new head"),
        "duplicated_heads": FaultKind("A head is announced twice. Occasion: a new head"),
    }
)

NULLED = frozenset(
    {
        "eth_getBlockByNumber",
        "eth_getBlockByHash",
        "eth_getBlockReceipts",
        "eth_getTransactionReceipt",
    }
)


@dataclass(slots=True)
class Fault:
    """One active fault; `remaining` occasions are left, None = until cleared."""

    kind: str
    parameters: dict[str, FaultValue]
    remaining: int | None
    passed: int = 0
    """How often it let something pass that it might have concerned."""

    def matches_method(self, method: str) -> bool:
        wanted = self.parameters.get("method")
        if wanted is None and self.kind == "nulls":
            return method in NULLED
        return wanted is None or wanted == method

    def number(self, name: str) -> int:
        value = self.parameters[name]
        assert isinstance(value, int)
        return value

    def text(self, name: str) -> str:
        value = self.parameters[name]
        assert isinstance(value, str)
        return value


class Faults:
    """The active faults, oldest first."""

    def __init__(self) -> None:
        self._active: list[Fault] = []

    def set(self, kind: str, /, count: int | None = None, **parameters: FaultValue) -> Fault:
        """Add a fault. Raises InvalidInput if a name is unknown or a value of the wrong type."""
        _check_kind(kind)
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidInput("count", f"{count!r}, allowed is a number from 1 or null")
        defaults = KINDS[kind].parameters
        for name, value in parameters.items():
            _check_parameter(kind, defaults, name, value)
            _check_text(KINDS[kind].allowed.get(name), name, value)
        fault = Fault(kind, dict(defaults) | parameters, count)
        self._active.append(fault)
        return fault

    def clear(self, kind: str | None = None) -> None:
        """End all faults, or those of one kind."""
        if kind is not None:
            _check_kind(kind)
        self._active = [fault for fault in self._active if kind not in (None, fault.kind)]

    def active(self, kind: str, method: str = "") -> Fault | None:
        """Return the oldest active fault of a kind, without using up an occasion."""
        for fault in self._active:
            if fault.kind == kind and fault.matches_method(method):
                return fault
        return None

    def take(self, kind: str, method: str = "") -> Fault | None:
        """Return the oldest active fault of a kind, and use up one occasion."""
        fault = self.active(kind, method)
        if fault is not None:
            self.use(fault)
        return fault

    def use(self, fault: Fault) -> None:
        """Use up one occasion of a fault; after its last one the fault is over."""
        if fault.remaining is None:
            return
        fault.remaining -= 1
        if fault.remaining == 0:
            self._active.remove(fault)

    def take_one_in(self, kind: str) -> Fault | None:
        """Return a fault as `take` does, but only for the last one of each `one_in` occasions."""
        fault = self.active(kind)
        if fault is None:
            return None
        fault.passed += 1
        if fault.passed % max(1, fault.number("one_in")):
            return None
        self.use(fault)
        return fault

    def listing(self) -> list[dict[str, object]]:
        return [{"fault": fault.kind, "count": fault.remaining, **fault.parameters} for fault in self._active]


def _check_kind(kind: object) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput("fault", f"{kind!r} is unknown, allowed are {', '.join(KINDS)}")


def _check_parameter(kind: str, defaults: Mapping[str, FaultValue], name: str, value: FaultValue) -> None:
    if name not in defaults:
        allowed = ", ".join(["count", *defaults])
        raise InvalidInput(name, f"no parameter of {kind}, allowed are {allowed}")
    default = defaults[name]
    if default is None:
        if value is not None and not isinstance(value, str):
            raise InvalidInput(name, f"{value!r}, allowed is the name of a method or null")
    elif type(value) is not type(default):
        wanted = "a number" if isinstance(default, int) else "a text"
        raise InvalidInput(name, f"{value!r}, allowed is {wanted}")
    elif isinstance(value, int) and value < 0 <= int(default):
        raise InvalidInput(name, f"{value}, allowed is a number from 0")


def _check_text(allowed: tuple[str, ...] | None, name: str, value: FaultValue) -> None:
    if allowed is not None and value not in allowed:
        raise InvalidInput(name, f"{value!r}, allowed are {', '.join(map(repr, allowed))}")
