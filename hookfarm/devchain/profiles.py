"""Profiles of real chains: how their nodes differ from a node of Ethereum.

`PROFILES` is the complete table. A profile is a set of permanent faults (see `faults.KINDS`) and options; the
faults last for the node's life, and `clear` does not end them. The chain id is the real one, so that clients treat
the devchain like the chain.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from hookfarm.devchain.faults import FaultValue

Behaviour = tuple[str, Mapping[str, FaultValue]]
"""A kind of fault with its parameters."""


@dataclass(frozen=True, slots=True)
class DevchainProfile:
    """The behaviour of one chain's nodes; `options` are fields of DevchainOptions."""

    chain_id: int
    what: str
    faults: tuple[Behaviour, ...] = ()
    options: Mapping[str, int] = field(default_factory=dict)


_NO_METHOD = "the method does not exist/is not available"
_ZERO_BLOOM_ANNOUNCED: Behaviour = ("announced_heads", {"shown": "zero_bloom"})
_SYSTEM_LOGS: Behaviour = ("blooms_without_system_logs", {})
_LAGGING_INDEX: Behaviour = ("lagging_index", {"calls": 2, "blocks": 8})

PROFILES: Mapping[str, DevchainProfile] = MappingProxyType(
    {
        "polygon": DevchainProfile(
            137,
            "Polygon PoS below block 80,084,800: logs of state syncs outside the bloom, `safe` not found, empty "
            "eth_getLogs for fresh blocks (Erigon)",
            (
                _SYSTEM_LOGS,
                _LAGGING_INDEX,
                ("unsupported_tags", {"tag": "safe", "code": -39001, "message": "safe block not found"}),
            ),
        ),
        "shibarium": DevchainProfile(109, "Shibarium: logs of state syncs outside the bloom", (_SYSTEM_LOGS,)),
        "hyperevm": DevchainProfile(
            999,
            "HyperEVM: logs of system transactions outside the bloom, no old blocks",
            (_SYSTEM_LOGS, ("no_block_0", {"shown": "pruned"})),
        ),
        "hedera": DevchainProfile(
            295,
            "Hedera: synthetic logs outside the bloom, duplicate receipts with another index",
            (_SYSTEM_LOGS, ("duplicate_receipts", {})),
        ),
        "zksync": DevchainProfile(
            324,
            "zkSync Era: closing blocks of batches have logs, but no transaction and no receipt",
            (("system_transactions", {"shown": "unlisted", "every": 4, "transactions": 0}),),
        ),
        "celo": DevchainProfile(
            42220,
            "Celo before its second layer: the logs of an epoch have a receipt, but no transaction",
            (("system_transactions", {"shown": "block_hash", "every": 4, "transactions": 1}),),
        ),
        "filecoin": DevchainProfile(
            314,
            "Filecoin: a bloom of all ones, null rounds, empty eth_getLogs for fresh blocks",
            (("constant_blooms", {"shown": "ones"}), _LAGGING_INDEX),
            {"null_round_every": 7},
        ),
        "cronos": DevchainProfile(
            25,
            "Cronos below block 20,000,000: failed transactions without receipts, whose logs are in the bloom and "
            "count in log indices; block 1 for 0; announced blooms of zeros",
            (("leaked_logs", {"receipts": "none"}), ("no_block_0", {"shown": "block_1"}), _ZERO_BLOOM_ANNOUNCED),
            {"transfers_per_block": 2},
        ),
        "kava": DevchainProfile(
            2222,
            "Kava: the latest block for 0, announced blooms of zeros",
            (("no_block_0", {"shown": "latest"}), _ZERO_BLOOM_ANNOUNCED),
        ),
        "zetachain": DevchainProfile(
            7000,
            "ZetaChain: the latest block for 0, announced heads with another hash",
            (("no_block_0", {"shown": "latest"}), ("announced_heads", {"shown": "other_hash"})),
        ),
        "sei": DevchainProfile(1329, "Sei: announced blooms of zeros", (_ZERO_BLOOM_ANNOUNCED,)),
        "sei-giga": DevchainProfile(
            1329, "Sei Giga: announced parent hashes of zeros", (("announced_heads", {"shown": "zero_parent"}),)
        ),
        "scroll": DevchainProfile(
            534352, "Scroll: `safe` and `finalized` are null", (("unsupported_tags", {"shown": "null"}),)
        ),
        "clique": DevchainProfile(
            5777,
            "Private geth without a beacon chain: `safe` and `finalized` not found",
            (("unsupported_tags", {"code": -39001, "message": "finalized block not found"}),),
        ),
        "stable": DevchainProfile(
            988, "Stable: log indices start from 0 in each transaction", (("local_log_indices", {}),)
        ),
        "bsc-erigon": DevchainProfile(
            56, "BNB Smart Chain on Erigon: duplicate log indices", (("wrong_log_indices", {}),)
        ),
        "bsc-public": DevchainProfile(
            56,
            "BNB Smart Chain, official endpoints: eth_getLogs is disabled",
            (("error", {"method": "eth_getLogs", "code": -32005, "message": "limit exceeded"}),),
        ),
        "tron": DevchainProfile(
            728126428,
            "Tron: no eth_getBlockReceipts, a bloom of zeros in every block",
            (
                ("error", {"method": "eth_getBlockReceipts", "code": -32601, "message": _NO_METHOD}),
                ("hidden_blooms", {"shown": "zeros"}),
            ),
        ),
        "no-bloom": DevchainProfile(
            31337,
            "Any chain whose headers have no bloom, with empty eth_getLogs for fresh blocks",
            (("hidden_blooms", {"shown": "null"}), _LAGGING_INDEX),
        ),
        "xdc": DevchainProfile(
            50, "XDC: logs, also those of receipts, have another block hash", (("wrong_block_hashes", {}),)
        ),
        "skale": DevchainProfile(
            1482601649, "SKALE Nebula: blooms that are not those of the logs", (("wrong_blooms", {}),)
        ),
        "public-endpoint": DevchainProfile(
            1,
            "Ethereum through a free endpoint: no batches, ranges of 10 blocks, at most 1,000 logs in a result",
            (
                ("refused_batches", {"calls": 1}),
                ("refused_ranges", {"blocks": 10}),
                ("capped_results", {"logs": 1000}),
            ),
        ),
    }
)
