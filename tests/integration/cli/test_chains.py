"""`hookfarm chains` and its subcommands."""

import json
from typing import Any

from hookfarm.status import readiness
from hookfarm.store import keys
from tests.support.finished_command import done, run

SCROLL = 534_352
ROW = {
    "chain_id": SCROLL, "head": 110, "checkpoint": 100, "lag_blocks": 10, "events_published": 9, "reason": "",
    "catch_up": None, "rpc_requests_per_block": None, "verify": "contiguous", "blooms": "used",
    "blocks_beyond_bloom": 0,
}  # fmt: skip
PROOF = (
    "Only log indices prove the logs complete; a missing last log is not detected, because verify=contiguous"
    " ignores blooms."
)
NOWHERE = "redis://127.0.0.1:1/0"


def test_a_chain_is_shown_with_its_proof_and_the_confirmations_that_replace_its_tags(
    client: Any, redis_url: str
) -> None:
    readiness.publish(client, keys.EVENT_INGESTOR, {"chains": [ROW]})
    client.hset(keys.heads(SCROLL), mapping={"latest": 100, "no_safe": 1, "no_finalized": 1})
    for words in (("chains",), ("chains", "list")):
        shown = done(run(redis_url, *words))
        assert "no tag (128)  no tag (256)" in shown
        assert f"chain {SCROLL} (Scroll), verify=contiguous: {PROOF}\n" in shown
        [row] = json.loads(done(run(redis_url, *words, "--json")))
        assert (row["proof"], row["unsupported_tags"]) == (PROOF, ["safe", "finalized"])


def test_the_table_of_known_chains_needs_no_redis() -> None:
    shown = done(run(NOWHERE, "chains", "list", "--known"))
    [polygon] = [line for line in shown.splitlines() if line.startswith("137 ")]
    assert "all but system logs below block 80,084,800; all logs from block 80,084,800" in polygon
    assert "no tag (32)" in polygon
    rows = json.loads(done(run(NOWHERE, "chains", "list", "--known", "--json")))
    assert len(rows) == len(shown.splitlines()) - 1 >= 40
    [filecoin] = [row for row in rows if row["chain_id"] == 314]
    assert filecoin["blooms"] == [{"from_block": 0, "proves": "none"}]
    assert (filecoin["null_rounds"], filecoin["tag_confirmations"]) == (True, {"safe": 30, "finalized": 900})
