"""The kinds of faults of a devchain, and the active ones. Those of a profile are permanent.

`KINDS` is the complete table: a new fault needs a row there and one place that checks it. Several faults may be
active at once, also of one kind (an error for each of two methods). A fault lasts for `count` occasions; None =
until it is cleared. Its row defines an occasion.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hookfarm.devchain.block import FORGERIES
from hookfarm.devchain.rpc_errors import PROVIDER_ERRORS
from hookfarm.errors import InvalidInput

FaultValue = str | int | None


@dataclass(frozen=True, slots=True)
class FaultKind:
    """A kind of fault: its description and its parameters.

    `parameters` maps each name to its default, which also determines the type (None: a method).
    """

    what: str
    parameters: Mapping[str, FaultValue] = field(default_factory=dict)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Allowed texts of a parameter, if restricted."""


KINDS: Mapping[str, FaultKind] = MappingProxyType(
    {
        "silence": FaultKind(
            "Sockets stay open, but no request is answered and no head announced. Occasion: a request"
        ),
        "cut": FaultKind(
            "Open WebSockets are dropped at once; until cleared, requests and handshakes end "
            "with a closed connection. Occasion: a request or handshake"
        ),
        "half_frame": FaultKind(
            "A response breaks off in the middle and the connection closes. Occasion: a response"
        ),
        "http_status": FaultKind(
            "HTTP requests and handshakes are refused with a status and `Retry-After` seconds "
            "(0 = no such header). Occasion: a request or handshake",
            {"status": 429, "retry_after": 1},
        ),
        "error": FaultKind(
            "A method (default: all) returns an error. Occasion: a call",
            {"method": None, "code": -32000, "message": "devchain fault"},
        ),
        "latency": FaultKind(
            "A method (default: all) responds late. Occasion: a call",
            {"method": None, "milliseconds": 1000},
        ),
        "nulls": FaultKind(
            "A method (default: those that return blocks and receipts) returns null. Occasion: a call",
            {"method": None},
        ),
        "omitted_logs": FaultKind(
            "eth_getLogs omits its last logs, or its first ones; with `answers` filtered, only in answers to "
            "requests with addresses or topics. Occasion: a result with logs",
            {"logs": 1, "where": "last", "answers": "all"},
            {"where": ("last", "first"), "answers": ("all", "filtered")},
        ),
        "omitted_receipt_logs": FaultKind(
            "eth_getBlockReceipts omits the last logs of the block. Occasion: a result with logs",
            {"logs": 1},
        ),
        "omitted_transactions": FaultKind(
            "Blocks with full transactions omit their last ones. Occasion: a result with transactions",
            {"transactions": 1},
        ),
        "omitted_receipts": FaultKind(
            "eth_getBlockReceipts omits the last receipts. Occasion: a result with receipts", {"receipts": 1}
        ),
        "capped_results": FaultKind(
            "eth_getLogs silently truncates its result to this many logs. Occasion: a truncated result",
            {"logs": 1000},
        ),
        "lag": FaultKind(
            "Requests see a head `blocks` lower, as behind a load balancer one in `one_in` of them; "
            "newHeads is unaffected. Occasion: a request that reads the chain",
            {"blocks": 1, "one_in": 1},
        ),
        "refused_ranges": FaultKind(
            "eth_getLogs refuses ranges of more blocks than this, optionally with the error of `provider` "
            "(see rpc_errors.PROVIDER_ERRORS). Occasion: a refusal",
            {"blocks": 10, "code": -32602, "message": "query exceeds max block range", "provider": ""},
            {"provider": ("", *PROVIDER_ERRORS)},
        ),
        "refused_results": FaultKind(
            "eth_getLogs refuses results of more logs than this; `provider` as above. Occasion: a refusal",
            {"logs": 100, "code": -32005, "message": "query returned more than 100 results", "provider": ""},
            {"provider": ("", *PROVIDER_ERRORS)},
        ),
        "refused_filters": FaultKind(
            "eth_getLogs refuses filters with more addresses, or topics at one position, than this. "
            "Occasion: a refusal",
            {"values": 1000, "code": -32602, "message": "exceed max addresses or topics per search position"},
        ),
        "clamped_ranges": FaultKind(
            "eth_getLogs clamps a range beyond the head instead of refusing it. Occasion: a clamped range"
        ),
        "unsupported_tags": FaultKind(
            "The tags safe and finalized are refused, or answered with null (Scroll). Polygon refuses with code "
            "-39001 and message `safe block not found`, only for safe. Occasion: a refusal",
            {"code": -32602, "message": "safe and finalized block are not supported", "shown": "error", "tag": ""},
            {"shown": ("error", "null"), "tag": ("", "safe", "finalized")},
        ),
        "refused_batches": FaultKind(
            "Batches of more calls than this are refused as a whole: with an error, HTTP 413, 429 or 500, an "
            "empty body, a closed connection, or no response. A WebSocket closes for those of HTTP. "
            "Occasion: a refusal",
            {"calls": 1, "code": -32600, "message": "batch too large", "how": "error"},
            {"how": ("error", "http_413", "http_429", "http_500", "empty", "closed", "silence")},
        ),
        "shortened_batches": FaultKind(
            "Only the first `calls` of a batch are answered. Occasion: a shortened response", {"calls": 3}
        ),
        "no_block_0": FaultKind(
            "Instead of block 0 comes block 1 (Ethermint), the latest (OKTC), or an error for pruned history "
            "(op-reth). Occasion: a call of eth_getBlockByNumber",
            {"shown": "block_1"},
            {"shown": ("block_1", "latest", "pruned")},
        ),
        "pruned_history": FaultKind(
            "Blocks more than `blocks` below the head are not served by number: an error (op-reth) or null "
            "(Erigon). Occasion: a refusal",
            {"blocks": 128, "shown": "error"},
            {"shown": ("error", "null")},
        ),
        "hidden_blooms": FaultKind(
            "Headers have a bloom of zeros, or null. Occasion: a header",
            {"shown": "zeros"},
            {"shown": ("zeros", "null")},
        ),
        "announced_heads": FaultKind(
            "newHeads announces heads with a bloom of zeros (Sei, Cosmos), another hash (ZetaChain) or a parent "
            "of zeros (Sei Giga); the blocks themselves are right. Occasion: an announced head",
            {"shown": "zero_bloom"},
            {"shown": ("zero_bloom", "other_hash", "zero_parent")},
        ),
        "constant_blooms": FaultKind(
            "Headers have the same bloom whatever their logs: all ones (Filecoin), or some. Occasion: a header",
            {"shown": "ones"},
            {"shown": ("ones", "some")},
        ),
        "blooms_without_system_logs": FaultKind(
            "The bloom omits the logs of the block's last transaction, as of the system's (HyperEVM, Shibarium). "
            "Occasion: a header of a block with transactions"
        ),
        "leaked_logs": FaultKind(
            "A failed transaction leaves the bits of a log in the bloom, and counts as a log in the indices of "
            "later ones; its receipt says that it failed, or is missing (Cronos). Occasion: a header",
            {"receipts": "failed"},
            {"receipts": ("failed", "none")},
        ),
        "wrong_blooms": FaultKind("Headers have the bloom of other logs (SKALE). Occasion: a header"),
        "system_transactions": FaultKind(
            "The last `transactions` (0 = all) of one block in `every` are the system's: they have no receipt. If "
            "they are not listed either, their logs have a transaction hash of zeros (zkSync), or the hash of the "
            "block, as their receipt (Celo). Lasts until cleared",
            {"shown": "unlisted", "every": 1, "transactions": 1},
            {"shown": ("unlisted", "listed", "block_hash")},
        ),
        "duplicate_receipts": FaultKind(
            "eth_getBlockReceipts has the block's first receipt twice, once with an index without a transaction "
            "(Hedera). Occasion: a result with receipts"
        ),
        "lagging_index": FaultKind(
            "eth_getLogs omits the logs of each of the newest `blocks` blocks the first `calls` times. Lasts "
            "until cleared",
            {"calls": 1, "blocks": 8},
        ),
        "forged_blocks": FaultKind(
            "Blocks are shown with a log or transaction left out, added or changed, consistently in all answers. "
            "The header is true, or its bloom fits, or its bloom and roots. Lasts until cleared",
            {"forgery": "omitted_log", "header": "bloom"},
            {"forgery": tuple(FORGERIES), "header": ("true", "bloom", "roots")},
        ),
        "unknown_header_field": FaultKind(
            "Headers have a field of an unknown fork instead of requestsHash, so that the known ones do not make "
            "the hash (Avalanche). Occasion: a header"
        ),
        "local_log_indices": FaultKind("Logs are counted per transaction. Occasion: a result with logs"),
        "wrong_block_hashes": FaultKind(
            "Logs, also those of receipts, have another block hash (XDC). Occasion: a result with logs"
        ),
        "wrong_log_indices": FaultKind(
            "The indices of a block's logs have repetitions (Erigon on BSC) or begin with 1 (Stable), in receipts "
            "too. Occasion: a result with logs",
            {"shown": "repeated"},
            {"shown": ("repeated", "from_1")},
        ),
        "bare_logs": FaultKind(
            "Logs lack their blockTimestamp, or it is zero. Occasion: a result with logs",
            {"shown": "none"},
            {"shown": ("none", "zero")},
        ),
        "reorg_on_call": FaultKind(
            "The last `depth` blocks are replaced by `depth` + `more` others just before a method responds. "
            "Occasion: a call of the method",
            {"method": "eth_getLogs", "depth": 1, "more": 0},
        ),
        "return_on_call": FaultKind(
            "The chain returns to the branch that the last reorg replaced, just before a method responds. "
            "Occasion: a call of the method",
            {"method": "eth_getLogs"},
        ),
        "swapped_heads": FaultKind("A head is announced after its successor. Occasion: a delayed head"),
        "dropped_heads": FaultKind("A head is not announced. Occasion: a new head"),
        "duplicated_heads": FaultKind("A head is announced twice. Occasion: a new head"),
    }
)

MAX_SUBJECTS = 1_000

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
    """One active fault with `remaining` occasions; None = until cleared, or for ever if `is_permanent`."""

    kind: str
    parameters: dict[str, FaultValue]
    remaining: int | None
    passed: int = 0
    """Matching occasions that were let pass."""
    is_permanent: bool = False
    seen: Counter[str] = field(default_factory=Counter)
    """Occasions by subject, of the last subjects."""

    def matches_method(self, method: str) -> bool:
        wanted = self.parameters.get("method")
        if wanted is None and self.kind == "nulls":
            return method in NULLED
        return wanted is None or wanted == method

    def count(self, subject: str) -> int:
        """Count an occasion with this subject, such as a block hash; return how many there have been."""
        if len(self.seen) > MAX_SUBJECTS:
            self.seen.clear()
        self.seen[subject] += 1
        return self.seen[subject]

    def number(self, name: str) -> int:
        value = self.parameters[name]
        assert isinstance(value, int)
        return value

    def text(self, name: str) -> str:
        value = self.parameters[name]
        assert isinstance(value, str)
        return value


class Faults:
    """The active faults, oldest first; the `permanent` ones last for ever."""

    def __init__(self, permanent: Iterable[tuple[str, Mapping[str, FaultValue]]] = ()) -> None:
        self._active: list[Fault] = []
        for kind, parameters in permanent:
            self.set(kind, None, **parameters).is_permanent = True

    def set(self, kind: str, /, count: int | None = None, **parameters: FaultValue) -> Fault:
        """Add a fault. Raises InvalidInput for an unknown name or an invalid value."""
        _check_kind(kind)
        if count is not None and (type(count) is not int or count < 1):
            raise InvalidInput("count", f"{count!r}; allowed is a number from 1 or null")
        defaults = KINDS[kind].parameters
        for name, value in parameters.items():
            _check_parameter(kind, defaults, name, value)
            _check_text(KINDS[kind].allowed.get(name), name, value)
        fault = Fault(kind, dict(defaults) | parameters, count)
        self._active.append(fault)
        return fault

    def clear(self, kind: str | None = None) -> None:
        """End all faults, or those of one kind, except permanent ones."""
        if kind is not None:
            _check_kind(kind)
        self._active = [fault for fault in self._active if fault.is_permanent or kind not in (None, fault.kind)]

    def active(self, kind: str, method: str = "") -> Fault | None:
        """Return the oldest active fault of a kind without using an occasion; None if there is none."""
        for fault in self._active:
            if fault.kind == kind and fault.matches_method(method):
                return fault
        return None

    def take(self, kind: str, method: str = "") -> Fault | None:
        """Return the oldest active fault of a kind and use one occasion; None if there is none."""
        fault = self.active(kind, method)
        if fault is not None:
            self.use(fault)
        return fault

    def use(self, fault: Fault) -> None:
        """Use one occasion of a fault; the last one ends it."""
        if fault.remaining is None:
            return
        fault.remaining -= 1
        if fault.remaining == 0:
            self._active.remove(fault)

    def take_one_in(self, kind: str) -> Fault | None:
        """Like `take`, but return the fault only for every `one_in`th occasion."""
        fault = self.active(kind)
        if fault is None:
            return None
        fault.passed += 1
        if fault.passed % max(1, fault.number("one_in")):
            return None
        self.use(fault)
        return fault

    def listing(self) -> list[dict[str, object]]:
        """Return the faults that `clear` would end."""
        return [
            {"fault": fault.kind, "count": fault.remaining, **fault.parameters}
            for fault in self._active
            if not fault.is_permanent
        ]


def _check_kind(kind: object) -> None:
    if not isinstance(kind, str) or kind not in KINDS:
        raise InvalidInput("fault", f"{kind!r} is unknown; allowed are {', '.join(KINDS)}")


def _check_parameter(kind: str, defaults: Mapping[str, FaultValue], name: str, value: FaultValue) -> None:
    if name not in defaults:
        allowed = ", ".join(["count", *defaults])
        raise InvalidInput(name, f"no parameter of {kind}; allowed are {allowed}")
    default = defaults[name]
    if default is None:
        if value is not None and not isinstance(value, str):
            raise InvalidInput(name, f"{value!r}; allowed is the name of a method or null")
    elif type(value) is not type(default):
        wanted = "a number" if isinstance(default, int) else "a text"
        raise InvalidInput(name, f"{value!r}; allowed is {wanted}")
    elif isinstance(value, int) and value < 0 <= int(default):
        raise InvalidInput(name, f"{value}; allowed is a number from 0")


def _check_text(allowed: tuple[str, ...] | None, name: str, value: FaultValue) -> None:
    if allowed is not None and value not in allowed:
        raise InvalidInput(name, f"{value!r}; allowed are {', '.join(map(repr, allowed))}")
