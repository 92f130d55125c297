"""State of each chain, from its ingestor's report and its finality heads."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, NotRequired, TypedDict, cast

from hookfarm import timestamps
from hookfarm.chain.profiles import Learned, profile_of, proof_of
from hookfarm.event_ingestor.node_telemetry import NodeStatus
from hookfarm.event_ingestor.telemetry import CatchUp, ChainReport
from hookfarm.event_stream import AcceptedBlock, DoubtfulBlock
from hookfarm.records import CONFIRMATION_TAGS as TAGS
from hookfarm.store import keys
from hookfarm.store.clients import AnyPipeline

CHAIN_REPLIES = 3
MAX_ACCEPTED = 10


class DoubtfulBlockStatus(TypedDict):
    """A block whose logs are not proven, so that it is not published."""

    block_number: int
    block_hash: str
    logs: Annotated[int | None, "Logs that the node gives; null if no source gives any."]
    reason: str
    found_by: Annotated[str, "event_ingestor or backfill."]
    accepted: Annotated[bool, "True = taken at the next try."]


class AcceptedBlockStatus(TypedDict):
    """A block that an operator accepted without a proof, with at least so many logs."""

    block_number: int
    block_hash: str
    logs: int
    reason: str
    accepted_by: str
    accepted_at: str


class ChainStatus(TypedDict):
    """A chain in the snapshot. Counts start with the farm; null = no ingestor has reported yet."""

    chain_id: int
    name: Annotated[str, "Name of the chain in the table of known chains; empty for another one."]
    head: int | None
    checkpoint: int | None
    lag_blocks: int | None
    lag_ms: Annotated[int | None, "Age of the checkpoint's block; 0 at the head."]
    safe: int | None
    finalized: int | None
    unsupported_tags: Annotated[
        list[str],
        "Of `safe` and `finalized`: without a block on this chain. Deliveries wait for confirmations instead.",
    ]
    tag_confirmations: Annotated[
        dict[str, int], "Confirmations that replace `safe` and `finalized` while they are unsupported."
    ]
    proof: Annotated[
        str | None, "What is proven about the logs of the newest block, and what is not; null before the first."
    ]
    ready: bool
    reason: Annotated[str, "Empty while the chain is ready."]
    doubtful_blocks: Annotated[list[DoubtfulBlockStatus], "Blocks without a proof, by number."]
    accepted_blocks: Annotated[list[AcceptedBlockStatus], "The newest ten accepted blocks, by number."]
    rpc_requests_per_block: float | None
    events_published: int | None
    nodes: Annotated[list[NodeStatus], "Nodes in order of preference."]
    catch_up: Annotated[CatchUp | None, "Progress of a catch-up; null near the head."]
    events_removed: NotRequired[int]
    reorgs: NotRequired[int]
    reorgs_beyond_memory: NotRequired[int]
    events_not_withdrawn: NotRequired[Annotated[int, "Events of replaced blocks that could not be withdrawn."]]
    blocks_repaired: NotRequired[int]
    blocks_beyond_bloom: NotRequired[Annotated[int, "Logs and receipts agree on logs that the bloom omits."]]
    blocks_renumbered: NotRequired[Annotated[int, "Log indices were not 0 to n and were replaced."]]
    verify: NotRequired[Annotated[str, "The chain setting `verify`."]]
    blooms: NotRequired[Annotated[str, "What was learned about blooms: `nothing`, `used` or `constant`."]]
    head_seen_at: NotRequired[str | None]
    rpc_requests: NotRequired[int]


def request_chain(pipe: AnyPipeline, chain_id: int) -> None:
    """Add the reads of a chain's state to a pipeline; their CHAIN_REPLIES replies are for `chain_status`."""
    pipe.hmget(keys.heads(chain_id), [*TAGS, *(f"no_{tag}" for tag in TAGS)])
    pipe.hvals(keys.doubtful_blocks(chain_id))
    pipe.hvals(keys.accepted_blocks(chain_id))


def chain_status(report: ChainReport, replies: Sequence[Any], service_reason: str, now: float) -> ChainStatus:
    """Return the state of one chain. `service_reason`: why the whole event_ingestor is not ready."""
    heads, doubtful, accepted = replies
    safe, finalized = (None if number is None else int(number) for number in heads[: len(TAGS)])
    reason = report.get("reason") or service_reason
    found = {
        **{name: value for name, value in report.items() if name != "checkpoint_at"},
        "name": profile_of(report["chain_id"]).name,
        "lag_ms": _lag_ms(report, now),
        "safe": safe,
        "finalized": finalized,
        "unsupported_tags": [tag for tag, none in zip(TAGS, heads[len(TAGS) :], strict=True) if none],
        "tag_confirmations": dict(profile_of(report["chain_id"]).tag_blocks),
        "proof": _proof(report),
        "ready": not reason,
        **_unproven(doubtful, accepted),
        "reason": reason,
        "nodes": report.get("nodes", []),
        "catch_up": report.get("catch_up"),
    }
    return cast(ChainStatus, found)


def with_configured(chains: Iterable[ChainStatus], configured: Iterable[int]) -> list[ChainStatus]:
    """Return the chains by id, with one that is not ready for each configured chain without a report."""
    found = {chain["chain_id"]: chain for chain in chains}
    for chain_id in configured:
        found.setdefault(chain_id, _unreached(chain_id))
    return [found[chain_id] for chain_id in sorted(found)]


def _unproven(doubtful: Iterable[bytes], accepted: Iterable[bytes]) -> dict[str, Any]:
    """Return the fields of doubtful and accepted blocks."""
    accepted_blocks = [asdict(AcceptedBlock.decode(each)) for each in accepted]
    taken = {(each["block_number"], each["block_hash"]): each["logs"] for each in accepted_blocks}
    rows = []
    for block in sorted(map(DoubtfulBlock.decode, doubtful), key=lambda block: block.block_number):
        wanted = taken.get((block.block_number, block.block_hash))
        accepted_with_these = wanted is not None and block.logs is not None and wanted <= block.logs
        rows.append({**asdict(block), "accepted": accepted_with_these})
    newest = sorted(accepted_blocks, key=lambda block: int(block["block_number"]))[-MAX_ACCEPTED:]
    return {"doubtful_blocks": rows, "accepted_blocks": newest}


def _lag_ms(report: ChainReport, now: float) -> int | None:
    """Return the age of the last published block, 0 at the head, None if its time is unknown."""
    if not report.get("lag_blocks"):
        return None if report.get("head", 0) is None else 0
    published_at = report.get("checkpoint_at")
    return max(0, round((now - timestamps.parse(published_at)) * 1000)) if published_at else None


def _proof(report: ChainReport) -> str | None:
    number = report.get("checkpoint")
    if number is None or "verify" not in report:
        return None
    learned, beyond_bloom = Learned(report["blooms"]), report["blocks_beyond_bloom"]
    return proof_of(profile_of(report["chain_id"]), report["verify"], number, learned, beyond_bloom)


def _unreached(chain_id: int) -> ChainStatus:
    return {
        "chain_id": chain_id,
        "name": profile_of(chain_id).name,
        "head": None,
        "checkpoint": None,
        "lag_blocks": None,
        "lag_ms": None,
        "safe": None,
        "finalized": None,
        "unsupported_tags": [],
        "doubtful_blocks": [],
        "accepted_blocks": [],
        "tag_confirmations": dict(profile_of(chain_id).tag_blocks),
        "proof": None,
        "ready": False,
        "reason": "not reached by an ingestor yet",
        "rpc_requests_per_block": None,
        "events_published": 0,
        "nodes": [],
        "catch_up": None,
    }
