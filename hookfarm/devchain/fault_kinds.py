"""The faults that a devchain can be told to have.

`KINDS` is the whole table: a new fault is a row here and the one place that asks for it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hookfarm.devchain.refusals import WORDS

Value = str | int | None


@dataclass(frozen=True, slots=True)
class Kind:
    """`parameters` maps each name to its default, which also gives its type (None: a method)."""

    what: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The texts that a parameter may be, where not any."""


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "silence": Kind("Sockets stay open but nothing is answered and no head announced. Occasion: a request"),
        "cut": Kind(
            "Open WebSockets are dropped at once; while it holds, requests and handshakes end "
            "with a closed connection. Occasion: a request or handshake"
        ),
        "half_frame": Kind("An answer breaks off in the middle and the connection with it. Occasion: an answer"),
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
            "eth_getLogs leaves out its last logs, or its first ones. Occasion: an answer that had logs",
            {"logs": 1, "where": "last"},
            {"where": ("last", "first")},
        ),
        "omitted_receipt_logs": Kind(
            "eth_getBlockReceipts leaves out the last logs of the block. Occasion: an answer that had logs",
            {"logs": 1},
        ),
        "omitted_transactions": Kind(
            "Blocks with full transactions leave out their last ones. Occasion: an answer that had some",
            {"transactions": 1},
        ),
        "omitted_receipts": Kind(
            "eth_getBlockReceipts leaves out the last ones. Occasion: an answer that had some", {"receipts": 1}
        ),
        "capped_results": Kind(
            "eth_getLogs answers the first so many logs as if they were all. Occasion: an answer cut off",
            {"logs": 1000},
        ),
        "lag": Kind(
            "Requests are answered as if the head were so many blocks back, by a balancer one in so many of "
            "them; newHeads goes on. Occasion: a request that reads the chain",
            {"blocks": 1, "one_in": 1},
        ),
        "refused_ranges": Kind(
            "eth_getLogs refuses ranges of more blocks than this, where `words` names a provider in its own words "
            "(see refusals). Occasion: a refusal",
            {"blocks": 10, "code": -32602, "message": "query exceeds max block range", "words": ""},
            {"words": ("", *WORDS)},
        ),
        "refused_results": Kind(
            "eth_getLogs refuses answers of more logs than this; `words` as above. Occasion: a refusal",
            {"logs": 100, "code": -32005, "message": "query returned more than 100 results", "words": ""},
            {"words": ("", *WORDS)},
        ),
        "clamped_ranges": Kind(
            "eth_getLogs answers a range beyond the head as far as it gets instead of refusing it. "
            "Occasion: such an answer"
        ),
        "unsupported_tags": Kind(
            "The tags safe and finalized are refused. Occasion: a refusal",
            {"code": -32602, "message": "safe and finalized block are not supported"},
        ),
        "refused_batches": Kind(
            "Batches of more calls than this are refused as a whole. Occasion: a refusal",
            {"calls": 1, "code": -32600, "message": "batch too large"},
        ),
        "hidden_blooms": Kind(
            "Headers are shown with a bloom of zeros, or with null. Occasion: a header",
            {"shown": "zeros"},
            {"shown": ("zeros", "null")},
        ),
        "local_log_indices": Kind("Logs are counted in each transaction anew. Occasion: an answer with logs"),
        "bare_logs": Kind(
            "Logs have no blockTimestamp, or one of zero. Occasion: an answer with logs",
            {"shown": "none"},
            {"shown": ("none", "zero")},
        ),
        "reorg_on_call": Kind(
            "The last blocks are replaced by as many others (and `more`) just before a method is answered. "
            "Occasion: such a call",
            {"method": "eth_getLogs", "depth": 1, "more": 0},
        ),
        "return_on_call": Kind(
            "The chain goes back to the branch that the last reorg left, just before a method is answered. "
            "Occasion: such a call",
            {"method": "eth_getLogs"},
        ),
        "swapped_heads": Kind("A head is announced after its successor. Occasion: a head held back"),
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
