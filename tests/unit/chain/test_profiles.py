"""The table of chain profiles, and what it says of a block."""

from urllib.parse import urlsplit

import pytest

from hookfarm.chain import profiles
from hookfarm.chain.profiles import Bloom, ChainProfile, Learned, known_profiles, profile_of, proof_of

PROFILES = list(known_profiles().values())
ETHEREUM, CRONOS, POLYGON, FILECOIN, STABLE, UNLISTED = 1, 25, 137, 314, 988, 4711


def proof(chain_id: int, verify: str = "bloom", learned: Learned = Learned.USED, beyond: int = 0) -> str:
    return proof_of(profile_of(chain_id), verify, 100, learned, beyond)


def test_the_table_has_at_least_forty_chains_each_with_a_name_of_its_own() -> None:
    assert len(PROFILES) >= 40
    assert len({profile.name for profile in PROFILES}) == len(PROFILES)
    assert all(profile.name for profile in PROFILES)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda profile: profile.name)
def test_each_fact_has_a_source_and_each_number_makes_sense(profile: ChainProfile) -> None:
    facts = (
        any(bloom is not Bloom.UNKNOWN for _, bloom in profile.blooms),
        profile.wrong_indices, profile.receipts != "all", profile.tags,
        profile.first_block, profile.null_rounds, profile.system_logs,
    )  # fmt: skip
    assert not any(facts) or profile.sources
    assert profile.explorer is None or urlsplit(profile.explorer).scheme == "https"
    assert profile.block_seconds is None or 0 < profile.block_seconds <= 60
    assert 0 < profile.tag_blocks["safe"] <= profile.tag_blocks["finalized"] <= 10_000
    assert profile.receipts in ("all", "single", "without system logs")
    assert [since for since, _ in profile.blooms] == sorted({since for since, _ in profile.blooms})


def test_a_bloom_proves_what_holds_from_the_block_on() -> None:
    polygon, cronos = profile_of(POLYGON), profile_of(CRONOS)
    assert [polygon.bloom_at(n) for n in (0, 80_084_799, 80_084_800)] == [
        Bloom.PARTIAL,
        Bloom.PARTIAL,
        Bloom.WHOLE,
    ]
    assert [cronos.bloom_at(n) for n in (19_999_999, 20_000_000)] == [Bloom.SUPERSET, Bloom.UNKNOWN]
    assert profile_of(10).bloom_at(105_235_062) is Bloom.UNKNOWN, "before its first known block"


def test_a_chain_without_a_profile_has_the_defaults() -> None:
    profile = profile_of(UNLISTED)
    assert (profile.name, profile.bloom_at(5), profile.absent_tags) == ("", Bloom.UNKNOWN, ())
    assert profile.tag_blocks == {"safe": 32, "finalized": 64}


def test_an_unknown_field_or_value_of_a_row_is_refused() -> None:
    for row in ({"colour": "blue"}, {"bloom": "half"}, {"indices": "odd"}):
        with pytest.raises((TypeError, ValueError)):
            profiles._profile(5, {"name": "Five", **row})


def test_the_proof_depends_on_setting_profile_and_what_was_learned() -> None:
    both = "Log indices and the header's bloom prove the logs complete; a missing last log is not detected if "
    elsewhere = "its address and topics occur elsewhere in the block."
    assert proof(ETHEREUM) == proof(ETHEREUM, learned=Learned.NOTHING) == f"{both}{elsewhere}"
    assert proof(POLYGON) == f"{both}the bloom omits it (state syncs) or {elsewhere}"
    assert proof(UNLISTED, beyond=3) == f"{both}the bloom omits it, as in 3 blocks so far, or {elsewhere}"
    only = "Only log indices prove the logs complete; a missing last log is not detected, because "
    assert proof(FILECOIN) == f"{only}the blooms of this chain prove nothing."
    assert proof(UNLISTED, learned=Learned.NOTHING) == f"{only}no bloom with a bit set has been seen so far."
    assert proof(UNLISTED, learned=Learned.CONSTANT) == f"{only}all headers have the same bloom."
    assert proof(ETHEREUM, "contiguous") == f"{only}verify=contiguous ignores blooms."
    assert proof(ETHEREUM, "receipts").startswith(
        "Log indices and the header's bloom prove the logs in the receipts"
    )
    assert proof(ETHEREUM, "none").startswith("Nothing is proven, because of verify=none")
    assert proof(STABLE).startswith(
        "The header's bloom proves the logs complete; a missing log is not detected if"
    )
    assert proof(STABLE, "contiguous").startswith(
        "Nothing is proven: the log indices of this chain are wrong, and"
    )
