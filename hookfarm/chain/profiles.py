"""Chain profiles: known facts about chains, from the table `profiles.toml`.

A chain without a profile, or a field without a value, is recognised from the chain's blocks.
"""

import tomllib
from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import Any, Literal

from hookfarm.records import CONFIRMATION_TAGS

TABLE = "profiles.toml"
DEFAULT_TAG_BLOCKS: Mapping[str, int] = {"safe": 32, "finalized": 64}
"""Confirmations that replace a tag without a block: one and two epochs of Ethereum."""

Receipts = Literal["all", "single", "without system logs"]


class Bloom(StrEnum):
    """What the blooms of headers prove."""

    UNKNOWN = "unknown"
    """Recognised from the chain's blocks."""
    WHOLE = "whole"
    """All logs."""
    PARTIAL = "partial"
    """All logs but those of system transactions."""
    SUPERSET = "superset"
    """All logs, and those of failed transactions."""
    NONE = "none"
    """Nothing: the same bloom in every header, or wrong bits."""


@dataclass(frozen=True)
class ChainProfile:
    """Facts about one chain; the fields as in the table, None = unknown."""

    chain_id: int
    name: str = ""
    explorer: str | None = None
    block_seconds: float | None = None
    blooms: tuple[tuple[int, Bloom], ...] = ((0, Bloom.UNKNOWN),)
    """What blooms prove, from which block on."""
    wrong_indices: bool = False
    """Log indices are not 0 to n: logs are numbered by their order."""
    receipts: Receipts = "all"
    tags: Mapping[str, bool] = field(default_factory=dict)
    """Tag -> whether the nodes ever have a block for it."""
    tag_blocks: Mapping[str, int] = field(default_factory=lambda: DEFAULT_TAG_BLOCKS)
    """Tag -> confirmations that replace it if no node has a block for it."""
    first_block: int = 0
    null_rounds: bool = False
    system_logs: str = ""
    sources: tuple[str, ...] = ()

    def bloom_at(self, number: int) -> Bloom:
        """Return what the bloom of this block proves."""
        place = bisect_right(self.blooms, number, key=lambda since: since[0])
        return self.blooms[place - 1][1] if place else Bloom.UNKNOWN

    @property
    def absent_tags(self) -> tuple[str, ...]:
        """Tags that never have a block on this chain."""
        return tuple(tag for tag, has_block in self.tags.items() if not has_block)


def profile_of(chain_id: int) -> ChainProfile:
    """Return the chain's profile, one without facts for an unlisted chain."""
    return known_profiles().get(chain_id) or ChainProfile(chain_id)


@cache
def known_profiles() -> Mapping[int, ChainProfile]:
    """Return the table by chain id."""
    raw = tomllib.loads(files(__package__).joinpath(TABLE).read_text("utf-8"))
    return {int(chain_id): _profile(int(chain_id), row) for chain_id, row in sorted(raw.items(), key=_id)}


def _id(item: tuple[str, Any]) -> int:
    return int(item[0])


def _profile(chain_id: int, row: Mapping[str, Any]) -> ChainProfile:
    """Return a profile of a row. Raises TypeError for an unknown field, ValueError for an unknown value."""
    rest = dict(row)
    bloom = rest.pop("bloom", {})
    since = bloom if isinstance(bloom, dict) else {"0": bloom}
    indices = rest.pop("indices", "")
    if indices not in ("", "wrong"):
        raise ValueError(f"chain {chain_id}: indices: {indices!r} is unknown; allowed is 'wrong'")
    tags = {tag: rest.pop(tag) for tag in CONFIRMATION_TAGS if tag in rest}
    blocks = {tag: rest.pop(f"{tag}_blocks", number) for tag, number in DEFAULT_TAG_BLOCKS.items()}
    return ChainProfile(
        chain_id,
        blooms=tuple(sorted((int(number), Bloom(kind)) for number, kind in since.items())),
        wrong_indices=bool(indices),
        tags=tags,
        tag_blocks=blocks,
        sources=tuple(rest.pop("sources", ())),
        **rest,
    )


# Text


_BLOOMS: Mapping[Bloom, str] = {
    Bloom.UNKNOWN: "",
    Bloom.WHOLE: "all logs",
    Bloom.PARTIAL: "all but system logs",
    Bloom.SUPERSET: "all logs and reverted ones",
    Bloom.NONE: "nothing",
}


def bloom_texts(profile: ChainProfile) -> list[str]:
    """Return in words what blooms prove, one text per span of blocks; empty = unknown."""
    spans = [(since, _BLOOMS[bloom] or "unknown") for since, bloom in profile.blooms]
    if len(spans) == 1 and not spans[0][0]:
        return list(filter(None, [_BLOOMS[profile.blooms[0][1]]]))
    return [
        f"{text} from block {since:,}" if since else f"{text} below block {spans[1][0]:,}" for since, text in spans
    ]


def peculiarities(profile: ChainProfile) -> list[str]:
    """Return in words how the chain differs from others, apart from blooms and tags."""
    receipts = {"single": "some receipts only one by one", "without system logs": "receipts may omit system logs"}
    found = (
        "wrong log indices" if profile.wrong_indices else "",
        receipts.get(profile.receipts, ""),
        f"no block before {profile.first_block}" if profile.first_block else "",
        "null rounds" if profile.null_rounds else "",
        f"system logs: {profile.system_logs}" if profile.system_logs else "",
    )
    return list(filter(None, found))


class Learned(StrEnum):
    """What an ingestor has recognised about the blooms of its chain."""

    NOTHING = "nothing"
    """No bloom with bits yet."""
    USED = "used"
    CONSTANT = "constant"
    """The same bloom in every header."""


def proof_of(profile: ChainProfile, verify: str, number: int, learned: Learned, beyond_bloom: int = 0) -> str:
    """Return in one sentence what is proven about the logs of block `number`, and what is not.

    `verify` as in ChainConfig. `beyond_bloom` counts the blocks with logs beyond the bloom so far.
    """
    if verify == "none":
        return "Nothing is proven, because of verify=none: a log that a node omits is not detected."
    reason = _no_bloom(profile.bloom_at(number), verify, learned)
    if reason and profile.wrong_indices:
        return f"Nothing is proven: the log indices of this chain are wrong, and {reason}."
    logs = "the logs in the receipts" if verify == "receipts" else "the logs"
    if reason:
        return f"Only log indices prove {logs} complete; a missing last log is not detected, because {reason}."
    condition = f"if {_omitted(profile, number, beyond_bloom)}its address and topics occur elsewhere in the block"
    if profile.wrong_indices:
        return f"The header's bloom proves {logs} complete; a missing log is not detected {condition}."
    proof = f"Log indices and the header's bloom prove {logs} complete"
    return f"{proof}; a missing last log is not detected {condition}."


def _no_bloom(bloom: Bloom, verify: str, learned: Learned) -> str:
    """Return why blooms prove nothing; empty if they prove something."""
    if verify == "contiguous":
        return "verify=contiguous ignores blooms"
    if bloom is Bloom.NONE:
        return "the blooms of this chain prove nothing"
    if bloom is not Bloom.WHOLE and learned is Learned.CONSTANT:
        return "all headers have the same bloom"
    if bloom is Bloom.UNKNOWN and learned is Learned.NOTHING:
        return "no bloom with a bit set has been seen so far"
    return ""


def _omitted(profile: ChainProfile, number: int, beyond_bloom: int) -> str:
    bloom = profile.bloom_at(number)
    if bloom is Bloom.PARTIAL:
        return f"the bloom omits it ({profile.system_logs}) or "
    if bloom is Bloom.UNKNOWN and beyond_bloom:
        return f"the bloom omits it, as in {beyond_bloom:,} blocks so far, or "
    return ""
