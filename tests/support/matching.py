"""Logs, endpoints, and an index that matches them."""

from hookfarm.abi.signature import parse
from hookfarm.delivery_queue import EntryResult
from hookfarm.event_stream import StreamEntry
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.matching.index import Index, Match
from hookfarm.matching.notifications import process_entry
from hookfarm.records import Endpoint, Event, Subscription


def process(index: Index, entry: StreamEntry, history: str = "") -> EntryResult:
    """Return the entry's result, an empty one if no endpoint wants its event."""
    return process_entry(index, entry, history) or EntryResult(entry)


ERC20 = "Transfer(address indexed from, address indexed to, uint256 value)"


SHORT = "Transfer(address,address,uint256)"
TRANSFER = parse(SHORT).topic0 or ""
ADDRESS = f"0x{0:040x}"


def log(address: str = ADDRESS, topics: tuple[str, ...] = (), data: str = "0x", chain_id: int = 1) -> Event:
    return {
        "chain_id": chain_id,
        "block_number": 1,
        "block_hash": f"0x{1:064x}",
        "block_timestamp": 1,
        "transaction_hash": f"0x{2:064x}",
        "transaction_index": 0,
        "log_index": 0,
        "address": address,
        "topics": list(topics),
        "data": data,
        "removed": False,
    }


def endpoint(identity: str, *subscriptions: Subscription) -> Endpoint:
    return Endpoint(identity, "https://example.com/", subscriptions=subscriptions)


def index_of(*endpoints: Endpoint) -> Index:
    index = Index()
    for each in endpoints:
        assert index.put(each) == []
    return index


def matched(index: Index, event: Event) -> list[Match]:
    return sorted(index.match(event, DecodedLogs(event)), key=lambda match: match.endpoint)


def subscribers(conditions: dict[str, str], event: str = ERC20) -> Index:
    return index_of(*(endpoint(each, Subscription("sub_1", 1, event=event, where=where))
                      for each, where in conditions.items()))  # fmt: skip


def endpoints(index: Index, event: Event) -> list[str]:
    return [match.endpoint for match in matched(index, event)]
