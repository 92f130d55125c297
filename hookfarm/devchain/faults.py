"""The faults that a devchain can be told to have, and those that it has at the moment.

`KINDS` is the whole table: a new fault is a row here and the one place that asks for it. Several
faults may be active at once, also of one kind (an error for each of two methods). A fault holds for
`count` occasions, or until it is cleared where that is None; what an occasion is stands in its row.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hookfarm.errors import InvalidInput

Value = str | int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """`parameters` maps each name to its default, which also gives its type (None: a method)."""

    what: str
    parameters: Mapping[str, Value] = field(default_factory=dict)


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "silence": Kind("Sockets stay open but nothing is answered and no head announced. Occasion: a request"),
        "cut": Kind(
            "Open WebSockets are dropped at once; while it holds, requests and handshakes end "
            "with a closed connection. Occasion: a request or handshake"
        ),
        "http_status": Kind(
            "HTTP requests and handshakes are refused with a status and `Retry-After` seconds "
            "(0 = no such header). Occasion: a request or handshake",
            {"status": 429, "retry_after": 1},
        ),
        "error": Kind(
            "A method (all, without one) answers an error. Occasion: a call",
            {"method": None, "code": -32000, "message": "devchain fault"},
        ),
        "latency": Kind(
            "A method (all, without one) answers late. Occasion: a call",
            {"method": None, "milliseconds": 1000},
        ),
        "nulls": Kind(
            "A method (without one: those that answer blocks and receipts) answers null. Occasion: a call",
            {"method": None},
        ),
        "omitted_logs": Kind(
            "eth_getLogs leaves out its last logs. Occasion: an answer that had logs to leave out",
            {"logs": 1},
        ),
        "lag": Kind(
            "Requests are answered as if the head were so many blocks back; newHeads goes on. "
            "Occasion: a call that reads the chain",
            {"blocks": 1},
        ),
        "refused_ranges": Kind(
            "eth_getLogs refuses ranges of more blocks than this. Occasion: a refusal",
            {"blocks": 10, "code": -32602, "message": "query exceeds max block range"},
        ),
        "refused_results": Kind(
            "eth_getLogs refuses answers of more logs than this. Occasion: a refusal",
            {"logs": 100, "code": -32005, "message": "query returned more than 100 results"},
        ),
        "clamped_ranges": Kind(
            "eth_getLogs answers a range beyond the head as far as it gets instead of refusing it. "
            "Occasion: such an answer"
        ),
        "unsupported_tags": Kind(
            "The tags safe and finalized are refused. Occasion: a refusal",
            {"code": -32602, "message": "safe and finalized block are not supported"},
        ),
        "dropped_heads": Kind("A head is not announced. Occasion: a new head"),
        "duplicated_heads": Kind("A head is announced twice. Occasion: a new head"),
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
    parameters: dict[str, Value]
    remaining: int | None

    def concerns(self, method: str) -> bool:
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

    def set(self, kind: str, /, count: int | None = None, **parameters: Value) -> Fault:
        """Adds one; InvalidInput names what is unknown or of the wrong type."""
        _check_kind(kind)
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidInput("count", f"{count!r}, allowed is a number from 1 or null")
        defaults = KINDS[kind].parameters
        for name, value in parameters.items():
            _check_parameter(kind, defaults, name, value)
        fault = Fault(kind, dict(defaults) | parameters, count)
        self._active.append(fault)
        return fault

    def clear(self, kind: str | None = None) -> None:
        """Ends all faults, or those of one kind."""
        if kind is not None:
            _check_kind(kind)
        self._active = [fault for fault in self._active if kind not in (None, fault.kind)]

    def active(self, kind: str, method: str = "") -> Fault | None:
        """The oldest such fault, without using up an occasion."""
        for fault in self._active:
            if fault.kind == kind and fault.concerns(method):
                return fault
        return None

    def take(self, kind: str, method: str = "") -> Fault | None:
        """The oldest such fault, with one occasion used up."""
        fault = self.active(kind, method)
        if fault is not None:
            self.use(fault)
        return fault

    def use(self, fault: Fault) -> None:
        """Counts one occasion; after its last one the fault is over."""
        if fault.remaining is None:
            return
        fault.remaining -= 1
        if fault.remaining == 0:
            self._active.remove(fault)

    def listing(self) -> list[dict[str, object]]:
        return [{"fault": fault.kind, "count": fault.remaining, **fault.parameters} for fault in self._active]


def _check_kind(kind: object) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput("fault", f"{kind!r} is unknown, allowed are {', '.join(KINDS)}")


def _check_parameter(kind: str, defaults: Mapping[str, Value], name: str, value: Value) -> None:
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
