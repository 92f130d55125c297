"""Numbers in prose are those of the code: each phrase is built of the constant and looked up in its page."""

import re

import pytest

from hookfarm.api import idempotency
from hookfarm.backfill import job_queue
from hookfarm.backfill.state import HEARTBEAT_TIMEOUT_SECONDS
from hookfarm.chain.budget import SYNC_SECONDS
from hookfarm.chain.filtered_reader import MAX_PIECE_BLOCKS
from hookfarm.chain.head_signal import NOT_YET_BLOCKS, REFUSALS_BELIEVED
from hookfarm.chain.node_pool import MAX_FILTER_VALUES
from hookfarm.chain.profiles import DEFAULT_TAG_BLOCKS
from hookfarm.chain.prover import MAX_WHOLE_BLOCKS
from hookfarm.chain.timing import SLOW_QUANTILE
from hookfarm.config import MAX_PROCESSORS, MAX_WORKERS, SETTINGS
from hookfarm.config.settings import DEFAULT_RETRY_SCHEDULE
from hookfarm.delivery_queue.recover import FARM_TIMEOUT_MS, MAX_ORPHANED
from hookfarm.delivery_queue.take import BLOCK_SECONDS, FENCE_SECONDS, MAX_BATCH
from hookfarm.event_ingestor.node_telemetry import TIP_BLOCKS
from hookfarm.event_stream import ABANDONED_MILLISECONDS, KEPT_BLOCKS, MAX_BLOCKS, ReorgWindow
from hookfarm.farm.plan import MasterTimeouts
from hookfarm.http_client import resolver
from hookfarm.http_client.outcome import MAX_EXCERPT_BYTES, MAX_RETRY_AFTER_SECONDS
from hookfarm.keeper.process import TICK_SECONDS
from hookfarm.launcher.duties import METRICS_SECONDS, REPAIR_SECONDS
from hookfarm.launcher.plan import MAX_UNAVAILABLE, max_unavailable
from hookfarm.launcher.reload import FIXED
from hookfarm.message_processor.processor import CONFIRM_INTERVAL_SECONDS
from hookfarm.metrics.collect import RESPONSE_SECONDS
from hookfarm.outage import MAX_DELAY_SECONDS
from hookfarm.records.endpoints import DEFAULT_TIMEOUT_SECONDS, MAX_TIMEOUT_SECONDS
from hookfarm.records.subscriptions import MAX_ADDRESSES, MAX_CONFIRMATIONS, MAX_SUBSCRIPTIONS
from hookfarm.registry.store import ROTATION_SECONDS
from hookfarm.status.readiness import LATE_TOLERANCE_SECONDS, REFRESH_SECONDS, TTL_SECONDS, UNREADY_GRACE_SECONDS
from hookfarm.store.scripts import ANCHOR_BLOCKS, CIRCUIT_FAILURES, MAX_ANCHORS, SLOW_MS
from hookfarm.store.server_checks import MIN_VERSION
from hookfarm.webhook_delivery.sweep import SWEEP_SECONDS
from hookfarm.webhook_delivery.telemetry import MAX_HELD
from hookfarm.webhook_delivery.worker import HEARTBEAT_SECONDS, TURN_SECONDS
from tests.support.doc_pages import CHECKOUT, pages, prose_of

README = "README.md"
DEPLOY = "deploy/README.md"
LUA = CHECKOUT / "hookfarm/store/lua"
DEFAULT = {setting.name: setting.default for setting in SETTINGS}
TIMEOUTS = MasterTimeouts()
CAPACITY = DEFAULT["workers"] * DEFAULT["concurrency"]
DAY = 86400


def how_to(name: str) -> str:
    return f"docs/how-to/{name}.md"


def explanation(name: str) -> str:
    return f"docs/explanation/{name}.md"


def decision(name: str) -> str:
    return f"docs/decisions/{name}.md"


def lua(part: str, name: str) -> float:
    """A constant of a Lua script."""
    found = re.search(rf"^local {name} = ([\d.]+)", (LUA / part).read_text(), re.MULTILINE)
    assert found, f"{part} has no {name}"
    return float(found[1])


def probe_pauses() -> tuple[float, float]:
    """Seconds."""
    text = (LUA / CIRCUIT).read_text()
    found = re.search(r"MIN_PROBE_PAUSE_MS, MAX_PROBE_PAUSE_MS = (\d+), (\d+)", text)
    assert found
    return int(found[1]) / 1000, int(found[2]) / 1000


def short(seconds: float) -> str:
    """5 s, 2 m, 10 h."""
    for unit, size in (("h", 3600), ("m", 60), ("s", 1)):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:g} {unit}"
    raise ValueError(seconds)


SCHEDULE = [short(seconds) for seconds in DEFAULT_RETRY_SCHEDULE]
DELAYS = f"{', '.join(SCHEDULE[:-1])} and {SCHEDULE[-1]}"
FIRST_RETRY = SCHEDULE[0]
LAST_RETRY_HOURS = round(sum(DEFAULT_RETRY_SCHEDULE) / 3600)
WINDOW, CIRCUIT = "shared/window.lua", "shared/circuit.lua"
HUNG_SECONDS = HEARTBEAT_SECONDS + LATE_TOLERANCE_SECONDS + UNREADY_GRACE_SECONDS + TICK_SECONDS

PHRASES: list[tuple[str, str]] = [
    (README, f"retried after {DELAYS}"),
    (README, f"withdrawn within {2 if HUNG_SECONDS < 2 else HUNG_SECONDS:g} s when"),
    ("docs/tutorials/first-webhook.md", f"the first retry comes after {FIRST_RETRY}"),
    ("docs/tutorials/your-own-chain.md", "failed nine times"),
    (explanation("delivery-semantics"), f"The retry schedule is {DELAYS}, each ±20 %"),
    (explanation("delivery-semantics"), f"about {LAST_RETRY_HOURS} hours"),
    (explanation("delivery-semantics"), f"up to {MAX_RETRY_AFTER_SECONDS / 3600:g} hours"),
    (explanation("delivery-semantics"), f"{DEFAULT_TIMEOUT_SECONDS:g} s by default"),
    (explanation("delivery-semantics"), f"at most {MAX_TIMEOUT_SECONDS:g} s (`--timeout`)"),
    (explanation("delivery-semantics"), f"{CAPACITY} by default"),
    (explanation("delivery-semantics"), f"A window begins at {lua('shared/free_window.lua', 'INITIAL_LIMIT'):g},"),
    (explanation("delivery-semantics"), f"or below {lua(CIRCUIT, 'MIN_CONGESTED_MS'):g} ms"),
    (explanation("delivery-semantics"), f"After {CIRCUIT_FAILURES} of these in a row"),
    (explanation("delivery-semantics"), "from {:g} s to {:g} s, ±20 %".format(*probe_pauses())),
    (explanation("delivery-semantics"), f"takes {SLOW_MS / 1000:g} s or more (`SLOW_MS`)"),
    (explanation("delivery-semantics"), f"only failed for {DEFAULT['disable_after'] / DAY:g} days"),
    (explanation("reorgs-and-confirmations"), f"the newest {KEPT_BLOCKS} blocks"),
    (explanation("reorgs-and-confirmations"), f"at most {MAX_BLOCKS:,} blocks"),
    (explanation("reorgs-and-confirmations"), f"at most {ReorgWindow().events_bytes:,} bytes"),
    (explanation("reorgs-and-confirmations"), f"each {ANCHOR_BLOCKS}th hash"),
    (explanation("reorgs-and-confirmations"), f"the last {MAX_ANCHORS:,} of them"),
    (explanation("reorgs-and-confirmations"), f"up to {MAX_CONFIRMATIONS:,}"),
    (explanation("reorgs-and-confirmations"), f"{DEFAULT_TAG_BLOCKS['safe']} blocks replace `safe`"),
    (explanation("reorgs-and-confirmations"), f"{DEFAULT_TAG_BLOCKS['finalized']} blocks replace `finalized`"),
    (explanation("reorgs-and-confirmations"), f"while the head advances by {NOT_YET_BLOCKS} blocks"),
    (explanation("reliability"), f"its keys live {TTL_SECONDS} s"),
    (explanation("reliability"), f"others after {ABANDONED_MILLISECONDS / 1000:g} s"),
    (explanation("reliability"), f"died more than {MAX_ORPHANED} times"),
    (explanation("reliability"), f"aborted {TIMEOUTS.hang_seconds:g} s after"),
    (explanation("reliability"), f"killed {TIMEOUTS.abort_seconds:g} s later"),
    (explanation("reliability"), f"within {TIMEOUTS.boot_seconds:g} s without progress"),
    (explanation("reliability"), f"default `concurrency` of {DEFAULT['concurrency']}"),
    (explanation("reliability"), f"the tests allow {2 * DEFAULT['concurrency']} for each process"),
    (explanation("reliability"), f"delays of at most {MAX_DELAY_SECONDS:g} s"),
    (explanation("performance"), f"A farm has {CAPACITY} POSTs in flight by default"),
    (explanation("performance"), f"at most {DEFAULT['max_in_flight']:,} (`max_in_flight`)"),
    (how_to("filter"), f"up to {MAX_SUBSCRIPTIONS} subscriptions"),
    (how_to("come-from-alchemy"), f"{MAX_ADDRESSES:,} equal subscriptions"),
    (how_to("backfill"), f"for {DEFAULT['delivery_log_age'] / DAY:g} days by default (`delivery_log_age`)"),
    (how_to("backfill"), f"more than {MAX_FILTER_VALUES:,} addresses"),
    (decision("0005-chain-proofs"), f"pieces of up to {MAX_PIECE_BLOCKS} blocks"),
    (how_to("backfill"), f"without a heartbeat for {HEARTBEAT_TIMEOUT_SECONDS:g} s"),
    (how_to("backfill"), f"listed for {job_queue.RETENTION_SECONDS / DAY:g} days"),
    (how_to("finality-for-money"), f"{DEFAULT_TAG_BLOCKS['finalized']} and {DEFAULT_TAG_BLOCKS['safe']} blocks"),
    (how_to("finality-for-money"), f"or after {NOT_YET_BLOCKS} blocks without an answer"),
    (how_to("finality-for-money"), f"The maximum is {MAX_CONFIRMATIONS:,}"),
    (how_to("ordered-processing"), f"about {LAST_RETRY_HOURS} hours later with the default schedule"),
    (how_to("rotate-secrets"), f"For {ROTATION_SECONDS / 3600:g} hours each webhook has two signatures"),
    (how_to("config-as-code"), f"no second endpoint for {idempotency.TTL_SECONDS / 3600:g} hours"),
    (how_to("come-from-svix"), f"are {DELAYS}."),
    (how_to("come-from-svix"), f"only failed for {DEFAULT['disable_after'] / DAY:g} days"),
    (how_to("run-in-production"), f"a version below {'.'.join(map(str, MIN_VERSION))}"),
    (how_to("run-in-production"), f"{DEFAULT['delivery_log_bytes']:,} bytes by default"),
    (how_to("run-in-production"), f"{DEFAULT['concurrency']} = {CAPACITY} by default"),
    (how_to("run-in-production"), f"{DEFAULT['max_in_flight']:,} by default"),
    (how_to("run-in-production"), f"listens on `{DEFAULT['api']}`"),
    (how_to("run-in-production"), f"from {resolver.MIN_TTL_SECONDS:g} s to {resolver.MAX_TTL_SECONDS / 60:g} min"),
    (how_to("run-in-production"), f"a failure for {resolver.FAILURE_SECONDS:g} s"),
    (how_to("run-in-production"), f"answer within {resolver.CHANNEL_SECONDS:g} s fails the attempt"),
    (how_to("run-in-production"), f"get `grace_seconds` ({DEFAULT['grace_seconds']:g} s)"),
    (how_to("run-in-production"), f"stop within {TIMEOUTS.second_sigterm_seconds:g} s"),
    (how_to("run-in-production"), f"from 1 to {MAX_WORKERS:,}"),
    (how_to("run-in-production"), f"never more than {MAX_UNAVAILABLE}"),
    (how_to("troubleshooting"), f"time-out, {DEFAULT_TIMEOUT_SECONDS:g} s by default"),
    (how_to("troubleshooting"), f"at most {probe_pauses()[1]:g} s, ±20 %"),
    (how_to("troubleshooting"), f"has {TIMEOUTS.boot_seconds:g} s without progress"),
    (how_to("troubleshooting"), f"(up to {MAX_PROCESSORS})"),
    (how_to("troubleshooting"), f"held by more than {MAX_ORPHANED} processes"),
    (how_to("troubleshooting"), f"only fails for {DEFAULT['disable_after'] / DAY:g} days"),
    (decision("0002-windows"), f"`INITIAL_LIMIT` ({lua('shared/free_window.lua', 'INITIAL_LIMIT'):g})"),
    (decision("0002-windows"), f"at most `MAX_BATCH` ({lua(WINDOW, 'MAX_BATCH'):g})"),
    (decision("0002-windows"), f"`MIN_CONGESTED_MS` ({lua(CIRCUIT, 'MIN_CONGESTED_MS'):g})"),
    (decision("0002-windows"), f"`CIRCUIT_FAILURES` ({CIRCUIT_FAILURES})"),
    (decision("0002-windows"), f"`DEFAULT_CAPACITY` ({CAPACITY})"),
    (decision("0002-windows"), f"`max_in_flight` ({DEFAULT['max_in_flight']:,})"),
    (explanation("completeness"), f"{MAX_WHOLE_BLOCKS} blocks per request"),
    (decision("0002-windows"), f"`SLOW_MS` ({SLOW_MS / 1000:g} s)"),
    (decision("0002-windows"), f"silent for {FARM_TIMEOUT_MS / 1000:g} s"),
    (decision("0003-delivery-process"), f"due within {HEARTBEAT_SECONDS:g} s"),
    (decision("0003-delivery-process"), f"aborts it {TIMEOUTS.hang_seconds:g} s after"),
    (decision("0003-delivery-process"), f"up to {BLOCK_SECONDS} s"),
    (decision("0003-delivery-process"), f"of up to {MAX_BATCH} under load"),
    (decision("0003-delivery-process"), f"{FENCE_SECONDS:g} s after its BRPOP was sent (`FENCE_SECONDS`)"),
    (decision("0003-delivery-process"), f"silent for {FARM_TIMEOUT_MS / 1000:g} s"),
    (decision("0004-readiness"), f"may be {LATE_TOLERANCE_SECONDS:g} s late"),
    (decision("0004-readiness"), f"unready for {UNREADY_GRACE_SECONDS:g} s before"),
    (decision("0004-readiness"), f"due within {HEARTBEAT_SECONDS:g} s"),
    (decision("0004-readiness"), f"lives for {TTL_SECONDS} s and is refreshed every {REFRESH_SECONDS:g} s"),
    (how_to("providers"), f"the last {TIP_BLOCKS} blocks at the head"),
    (how_to("providers"), f"takes longer than {SLOW_QUANTILE:.0%} of the".replace("%", " %")),
    (DEPLOY, f"responds within {METRICS_SECONDS:g} s"),
    (DEPLOY, f"does not respond within {RESPONSE_SECONDS:g} s"),
]


@pytest.mark.parametrize(("page", "phrase"), PHRASES)
def test_a_number_is_the_constant_of_the_code(page: str, phrase: str) -> None:
    assert phrase in prose_of(page)


def test_numbers_that_are_written_as_words_hold() -> None:
    assert len(DEFAULT_RETRY_SCHEDULE) + 1 == 9, "nine attempts"
    assert REFUSALS_BELIEVED == 3, "three refusals in a row"
    assert CONFIRM_INTERVAL_SECONDS == 1 / 4, "four times a second"
    assert TICK_SECONDS == 1 / 5, "the keeper looks five times a second"
    assert SWEEP_SECONDS == 0.5, "every half second"
    assert REPAIR_SECONDS == 10, "every ten seconds"
    assert MAX_EXCERPT_BYTES == 1024, "the first kB of a reply"
    assert TURN_SECONDS == 1, "at least once a second"
    assert lua("shared/backfill_queue.lua", "BACKFILL_SHARE") == 1 / 4, "a quarter of the capacity"
    assert (max_unavailable(40), max_unavailable(10)) == (4, 1), "a tenth of the processes"
    assert SYNC_SECONDS == 1, "calls are added once a second"
    assert MAX_HELD == 2 * 256, "places for twice the POSTs in flight"


def test_hung_processes_show_within_two_seconds() -> None:
    assert HUNG_SECONDS < 2


def test_settings_that_need_a_restart_are_named() -> None:
    section = prose_of(how_to("run-in-production")).partition("Changes of ")[2].partition("need a restart")[0]
    named = set(re.findall(r"`(\w+)`", section))
    assert named == {name for name in FIXED if not name.startswith("delivery_log_")}


def test_shares_of_the_capacity_are_a_half_and_an_eighth() -> None:
    text = (LUA / "shared/free_window.lua").read_text()
    assert "math.ceil(farm_capacity / 2) - open_of_unproven()" in text
    assert "math.ceil(window.capacity / 2)" in text
    assert "math.floor(window.capacity / 8)" in text


MEASURED = (README, explanation("performance"), explanation("reliability"), explanation("completeness"))
"""Pages with measured figures; the constants in them are among the phrases."""
EXAMPLES: dict[str, set[str]] = {
    decision("0004-readiness"): {"2 s"},
    explanation("reorgs-and-confirmations"): {"12 s", "12 blocks"},
    how_to("finality-for-money"): {"12 blocks", "13 minutes"},
    how_to("ordered-processing"): {"20 ms"},
    how_to("run-in-production"): {"5 minutes"},
    how_to("troubleshooting"): {"10 blocks", "120 s", "300 s", "2 minutes", "10 minutes", "15 minutes"},
    "docs/tutorials/first-webhook.md": {"20 seconds"},
}
"""Numbers of an example, of a chain, of the alert rules, or of another test of this file."""
_NUMBER = re.compile(r"(?<![\w.,:/-])\d[\d,.]* ?(?:s|ms|m|h|hours|days|minutes|seconds|blocks|%|kB|bytes)\b")


@pytest.mark.parametrize("page", [page for page in pages() if page not in MEASURED])
def test_every_number_with_a_unit_is_checked(page: str) -> None:
    prose = re.sub(r"`[^`]*`", " ", prose_of(page))
    checked = " ".join(phrase for where, phrase in PHRASES if where == page)
    found = {number for number in _NUMBER.findall(prose) if number not in checked}
    assert found <= EXAMPLES.get(page, set())
