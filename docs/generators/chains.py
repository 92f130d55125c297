"""The page of chains and nodes: constants of hookfarm/chain/ and hookfarm/event_stream/."""

import ast
from collections.abc import Iterator
from pathlib import Path

import hookfarm
from generators.markdown import code, duration, table
from hookfarm.chain.block_feed import NEAR_BLOCKS
from hookfarm.chain.failover import GAP_SECONDS
from hookfarm.chain.head_signal import NOT_YET_BLOCKS, REFUSALS_BELIEVED
from hookfarm.chain.node_pool import FIRST_RANGE_BLOCKS, MAX_BATCH_CALLS, MAX_RANGE_BLOCKS, TARGET_LOGS
from hookfarm.chain.profiles import (
    DEFAULT_TAG_BLOCKS,
    ChainProfile,
    bloom_texts,
    known_profiles,
    peculiarities,
    profile_of,
)
from hookfarm.chain.prover import MAX_WHOLE_BLOCKS
from hookfarm.chain.rpc import MAX_RETRY_AFTER_SECONDS
from hookfarm.chain.timing import MAX_PAUSE_SECONDS, MAX_POLL_SECONDS, MIN_POLL_SECONDS, NodeTimeouts
from hookfarm.event_stream.remembered_blocks import KEPT_BLOCKS, MAX_BLOCKS
from hookfarm.records import MAX_CONFIRMATIONS

CRONOS, POLYGON = 25, 137
_PURPOSES = {
    "eth_chainId": "the check of the chain id at each connection",
    "eth_getBlockByNumber": "heads, headers, `safe` and `finalized`, the genesis block",
    "eth_getBlockByHash": "blocks of transfers, and blocks without a usable bloom",
    "eth_getLogs": "logs of a block by its hash, or of a range of blocks",
    "eth_getBlockReceipts": "logs that are in doubt, `verify=receipts` and `receipts-root`, transfers",
    "eth_getTransactionReceipt": "transfers without `eth_getBlockReceipts`; `endpoints test --transaction`",
    "eth_blockNumber": "the head of a silent node, and the check of a range",
    "eth_subscribe": "`newHeads` over WebSocket",
}
_PACKAGES = ("chain", "event_ingestor", "sample_webhooks")

_KNOWN = ("Id", "Chain", "Block time", "Bloom proves", "Tags", "Confirmations", "Other", "Sources")


def parts() -> dict[str, str]:
    timeouts = NodeTimeouts()
    return {
        "polygon_since": f"{profile_of(POLYGON).blooms[-1][0]:,}",
        "cronos_before": f"{profile_of(CRONOS).blooms[-1][0]:,}",
        "near_blocks": str(NEAR_BLOCKS),
        "methods": table(
            ("Method", "Used for"), ((code(name), _PURPOSES[name]) for name in sorted(set(_methods())))
        ),
        "known": table(_KNOWN, map(_known, known_profiles().values())),
        "kept_blocks": str(KEPT_BLOCKS),
        "max_blocks": f"{MAX_BLOCKS:,}",
        "refusals": str(REFUSALS_BELIEVED),
        "not_yet_blocks": str(NOT_YET_BLOCKS),
        "safe": str(DEFAULT_TAG_BLOCKS["safe"]),
        "finalized": str(DEFAULT_TAG_BLOCKS["finalized"]),
        "max_confirmations": f"{MAX_CONFIRMATIONS:,}",
        "batch": str(MAX_BATCH_CALLS),
        "first_range": str(FIRST_RANGE_BLOCKS),
        "max_range": f"{MAX_RANGE_BLOCKS:,}",
        "target_logs": f"{TARGET_LOGS:,}",
        "whole_blocks": str(MAX_WHOLE_BLOCKS),
        "silence": f"{timeouts.silence_seconds:g}",
        "request": f"{timeouts.request_seconds:g}",
        "connect": f"{timeouts.connect_seconds:g}",
        "return": f"{timeouts.return_seconds:g}",
        "tags": f"{timeouts.tags_seconds:g}",
        "gap": f"{GAP_SECONDS:g}",
        "max_retry_after": duration(MAX_RETRY_AFTER_SECONDS),
        "max_pause": f"{MAX_PAUSE_SECONDS:g}",
        "min_poll": f"{MIN_POLL_SECONDS:g}",
        "max_poll": f"{MAX_POLL_SECONDS:g}",
    }


def _known(profile: ChainProfile) -> tuple[str, ...]:
    """Return the cells of a chain in the table of known chains; an empty cell is unknown."""
    name = f"[{profile.name}]({profile.explorer})" if profile.explorer else profile.name
    return (
        str(profile.chain_id),
        name,
        "" if profile.block_seconds is None else f"{profile.block_seconds:g} s",
        "; ".join(bloom_texts(profile)),
        ", ".join(f"{code(tag)}{'' if has_block else ' never'}" for tag, has_block in profile.tags.items()),
        " and ".join(map(str, profile.tag_blocks.values())),
        "; ".join(peculiarities(profile)),
        "; ".join(profile.sources),
    )


def _methods() -> Iterator[str]:
    """Yield the JSON-RPC methods that the code calls, not those that metrics merely count."""
    root = Path(str(hookfarm.__file__)).parent
    for package in _PACKAGES:
        for path in sorted((root / package).glob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call):
                    yield from filter(None, map(_method, node.args))
                elif isinstance(node, ast.Tuple) and len(node.elts) == 2:  # A method and its parameters.
                    yield from filter(None, map(_method, node.elts))


def _method(node: ast.expr) -> str | None:
    found = node.value if isinstance(node, ast.Constant) else None
    return found if isinstance(found, str) and found.startswith("eth_") else None
