"""`hookfarm endpoints` as a user runs it: output, exit codes, and what is left in the registry."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hookfarm.cli.endpoint_options import new_record, parse_record
from hookfarm.config import load
from hookfarm.errors import InvalidInput
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.scripts import CIRCUIT_FAILURES
from tests.support.delivery import add_endpoint, enqueue, job, one_worker, set_capacity
from tests.support.endpoint_options import NOTHING, TOKEN, TRANSFER, created_with, sent
from tests.support.receivers import Reply, running_receiver

UNKNOWN_ID = "ep_" + "0" * 24
Command = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def hookfarm(redis_url: str) -> Command:
    """Runs `hookfarm endpoints …` on this test's Redis."""

    def run(*arguments: str, url: str = redis_url) -> "subprocess.CompletedProcess[str]":
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HOOKFARM_")}
        variables = {**clean, "HOOKFARM_REDIS_URL": url, "HOOKFARM_ALLOW_PRIVATE": "127.0.0.0/8"}
        command = [sys.executable, "-m", "hookfarm", "endpoints", *arguments]
        return subprocess.run(command, env=variables, capture_output=True, text=True, timeout=30, check=False)

    return run


def done(finished: "subprocess.CompletedProcess[str]") -> str:
    assert (finished.returncode, finished.stderr) == (0, "")
    return finished.stdout


def refused(finished: "subprocess.CompletedProcess[str]", code: int) -> str:
    """The one line it prints instead of a traceback."""
    assert (finished.returncode, finished.stdout) == (code, "")
    assert "Traceback" not in finished.stderr
    [line] = finished.stderr.splitlines()
    return line


def test_an_endpoint_is_added_shown_changed_and_removed(client: Any, hookfarm: Command) -> None:
    options = ("--chain", "1", "--chain", "10", "--address", TOKEN, "--event", TRANSFER, "--timeout", "3")
    more = ("--description", "ü", "--header", "X-A: b:c")
    added = json.loads(done(hookfarm("add", "https://example.com/h?k=v", *options, *more, "--json")))
    secret = added.pop("secret")
    assert Registry(client).get(added["id"]).secrets == ((secret, None),)
    first, second = added["subscriptions"]
    assert (first["chain_id"], second["chain_id"]) == (1, 10)
    assert (first["addresses"], first["event"], first["confirmations"]) == ([TOKEN.lower()], TRANSFER, 0)
    assert (added["timeout_seconds"], added["description"], added["headers"]) == (3.0, "ü", {"X-A": "b:c"})
    assert [subscription.pop("effective_from_block") for subscription in (first, second)] == [None, None]

    shown = json.loads(done(hookfarm("show", added["id"], "--json")))
    window, created = shown.pop("window"), shown.pop("created_at")
    assert (window["open"], window["retry"], window["circuit"]) == (0, 0, "closed")
    assert shown.pop("recent") == {"attempts": 0, "succeeded": 0, "p50_ms": None, "p99_ms": None}
    assert shown == {**added, "state": "enabled"}
    assert json.loads(done(hookfarm("list", "--json"))) == [{**shown, "created_at": created}]

    changed = json.loads(
        done(hookfarm("update", added["id"], "--url", "http://127.0.0.1:9/", "--disable", "--json"))
    )
    for subscription in changed["subscriptions"]:
        del subscription["effective_from_block"]
    assert changed == {
        **added, "url": "http://127.0.0.1:9/", "enabled": False, "disabled_reason": "disabled by its owner",
    }  # fmt: skip
    assert Registry(client).get(added["id"]).secrets == ((secret, None),)

    assert done(hookfarm("remove", added["id"])) == f"removed {added['id']}\n"
    assert json.loads(done(hookfarm("list", "--json"))) == []


def test_a_condition_is_added_shown_and_changed(client: Any, hookfarm: Command) -> None:
    where = f"value >= 1_000\nand to == {TOKEN}"
    options = ("--chain", "1", "--event", TRANSFER, "--where", where)
    added = json.loads(done(hookfarm("add", "https://example.com/", *options, "--json")))
    del added["secret"], added["subscriptions"][0]["effective_from_block"]
    assert added["subscriptions"][0]["where"] == where
    assert Registry(client).get(added["id"]).subscriptions[0].where == where
    for text in (done(hookfarm("show", added["id"])), done(hookfarm("list"))):
        assert f"{TRANSFER} where value >= 1_000 and to == {TOKEN}\n" in text
    wrong = hookfarm("update", added["id"], "--chain", "1", "--event", TRANSFER, "--where", "value > 5 and")
    assert refused(wrong, 2) == ("hookfarm: --where: the end at column 14: expected an argument or a literal")
    shown = json.loads(done(hookfarm("show", added["id"], "--json")))
    assert {name: shown[name] for name in added} == added
    again = ("--chain", "1", "--event", TRANSFER, "--where", "value == 5")
    changed = json.loads(done(hookfarm("update", added["id"], *again, "--json")))
    assert [s["where"] for s in changed["subscriptions"]] == ["value == 5"]


@pytest.mark.parametrize(("given", "stored"), [("12", 12), ("safe", "safe"), ("finalized", "finalized"), ("0", 0)])
def test_confirmations_are_a_number_or_a_tag(
    client: Any, hookfarm: Command, given: str, stored: int | str
) -> None:
    added = json.loads(
        done(hookfarm("add", "https://x.example/", "--chain", "1", "--confirmations", given, "--json"))
    )
    assert added["subscriptions"][0]["confirmations"] == stored
    assert Registry(client).get(added["id"]).subscriptions[0].confirmations == stored


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ((), ["emitted", "removed"]),
        (("--notify", "finalized", "--notify", "emitted"), ["emitted", "finalized"]),
        (("--notify", "emitted, removed,finalized"), ["emitted", "removed", "finalized"]),
    ],
)
def test_what_is_sent_is_chosen_by_words(
    client: Any, hookfarm: Command, given: tuple[str, ...], stored: list[str]
) -> None:
    added = json.loads(done(hookfarm("add", "https://x.example/", "--chain", "1", *given, "--json")))
    assert added["subscriptions"][0]["notify"] == stored
    assert list(Registry(client).get(added["id"]).subscriptions[0].notify) == stored
    shown = done(hookfarm("show", added["id"]))
    assert (f"chain 1: any log notify {','.join(stored)}\n" in shown) == bool(given)
    wrong = refused(hookfarm("update", added["id"], "--chain", "1", "--notify", "emitted,gone"), 2)
    assert wrong.startswith("hookfarm: --notify: ")


def test_a_change_says_from_which_block_it_is_in_effect(client: Any, hookfarm: Command) -> None:
    client.set(keys.checkpoint(1), f"123:0x{'ab' * 32}")
    said = done(hookfarm("add", "https://x.example/", "--chain", "1", "--chain", "5")).splitlines()
    assert "from    block 124 of chain 1" in said
    hint = "not watched yet; start a farm with --chain 5=URL"
    assert f"from    the first block of chain 5: {hint}" in said
    endpoint = said[0].split()[1]
    client.set(keys.checkpoint(1), f"130:0x{'ab' * 32}")
    assert done(hookfarm("update", endpoint, "--chain", "1", "--event", TRANSFER)).splitlines() == [
        f"updated {endpoint}", "from    block 131 of chain 1",
    ]  # fmt: skip
    assert done(hookfarm("update", endpoint, "--description", "x")) == f"updated {endpoint}\n"
    changed = json.loads(done(hookfarm("update", endpoint, "--chain", "1", "--chain", "5", "--json")))
    assert [each["effective_from_block"] for each in changed["subscriptions"]] == [131, None]
    shown = json.loads(done(hookfarm("show", endpoint, "--json")))
    assert "effective_from_block" not in shown["subscriptions"][0]


def test_an_endpoint_that_subscribes_to_nothing_is_told_to(client: Any, hookfarm: Command) -> None:
    said = done(hookfarm("add", "https://x.example/"))
    endpoint = said.split()[1]
    hint = f"It has no subscriptions yet: add some with hookfarm endpoints update {endpoint} --chain ID …"
    assert hint in said.splitlines()
    assert "no subscriptions" not in done(hookfarm("update", endpoint, "--chain", "1", "--address", TOKEN))
    assert "chain 1: any log of 1 address\n" in done(hookfarm("list"))


def test_limits_are_set_shown_and_taken_back(client: Any, hookfarm: Command) -> None:
    limits = ("--max-in-flight", "7", "--rate-limit", "2.5", "--ordered")
    added = json.loads(done(hookfarm("add", "https://example.com/", *limits, "--json")))
    assert (added["max_in_flight"], added["rate_limit_per_second"], added["ordered"]) == (7, 2.5, True)
    shown = done(hookfarm("show", added["id"])).splitlines()
    for line in (
        "max_in_flight          7",
        "rate_limit_per_second  2.5",
        "ordered                yes",
        "timeout_seconds        15",
    ):
        assert line in shown
    assert json.loads(done(hookfarm("update", added["id"], "--description", "x", "--json"))) == {
        **{k: v for k, v in added.items() if k != "secret"}, "description": "x",
    }  # fmt: skip
    done(hookfarm("update", added["id"], "--max-in-flight", "none", "--rate-limit", "none", "--no-ordered"))
    endpoint = Registry(client).get(added["id"])
    assert (endpoint.max_in_flight, endpoint.rate_limit_per_second, endpoint.ordered) == (None, None, False)


def test_an_endpoint_in_trouble_is_shown_as_such(client: Any, redis_url: str, hookfarm: Command) -> None:
    with running_receiver() as receiver, one_worker(redis_url) as worker:
        receiver.default = Reply(500)
        set_capacity(client, 8)
        failing = add_endpoint(client, receiver.url)
        paused = add_endpoint(client, receiver.url, enabled=False)
        enqueue(redis_url, *(job(failing) for _ in range(8)), job(paused))
        worker.step(CIRCUIT_FAILURES)
        worker.settle()
    states = {endpoint["id"]: endpoint["state"] for endpoint in json.loads(done(hookfarm("list", "--json")))}
    assert states == {failing.id: "failing", paused.id: "disabled"}
    lines = {line.split()[0]: line.split()[1] for line in done(hookfarm("list")).splitlines()[1:]}
    assert lines == states
    window = json.loads(done(hookfarm("show", failing.id, "--json")))["window"]
    assert (window["circuit"], window["failures"], window["parked"]) == ("open", 5, 3)
    assert window["failing_since"] <= window["probe_at"]
    shown = done(hookfarm("show", failing.id))
    for words in ("failing since", "circuit                open after 5 failures", "next probe", "parked 3"):
        assert words in shown


def test_what_people_read_names_everything_whole(client: Any, hookfarm: Command) -> None:
    url = "https://example.com/" + "a-long-path/" * 12
    added = done(hookfarm("add", url, "--chain", "1", "--event", TRANSFER))
    [endpoint] = Registry(client).all()
    assert added.splitlines()[:3] == [
        f"id      {endpoint.id}",
        f"url     {url}",
        f"secret  {endpoint.secrets[0][0]}",
    ]
    shown = done(hookfarm("show", endpoint.id))
    listed = done(hookfarm("list"))
    for text in (shown, listed):
        assert endpoint.id in text
        assert url in text
        assert TRANSFER in text
        assert "whsec_" not in text
    assert done(hookfarm("update", endpoint.id, "--description", "x")) == f"updated {endpoint.id}\n"


def test_a_secret_is_shown_once_and_again_only_when_it_is_rotated(client: Any, hookfarm: Command) -> None:
    added = json.loads(done(hookfarm("add", "https://example.com/", "--json")))
    rotated = json.loads(done(hookfarm("rotate-secret", added["id"], "--json")))
    again = done(hookfarm("rotate-secret", added["id"]))
    assert len({added["secret"], rotated["secret"], again.split()[1]}) == 3
    [(newest, _), (previous, _)] = Registry(client).get(added["id"]).secrets
    assert (newest, previous) == (again.split()[1], rotated["secret"])
    assert again.splitlines()[1] == "Keep it: it is shown only now. The old one also signs for a day."
    for command in ("show", "update"):
        assert "whsec_" not in done(hookfarm(command, added["id"], "--json"))


def test_samples_are_sent_now_and_signed(client: Any, hookfarm: Command) -> None:
    with running_receiver() as receiver:
        added = json.loads(
            done(hookfarm("add", receiver.url, "--chain", "5", "--event", TRANSFER, "--address", TOKEN, "--json"))
        )
        receiver.trust(added["secret"])
        [reply] = json.loads(done(hookfarm("test", added["id"], "--json")))
        [received] = receiver.received
        assert (reply["subscription"], reply["id"]) == (added["subscriptions"][0]["id"], received.id)
        assert (reply["delivered"], reply["status"], reply["detail"]) == (True, 200, "ok")
        assert reply["duration_ms"] >= 0
        body = json.loads(received.body)
        assert received.signature_valid
        assert received.id.startswith("msg_")
        assert (body["type"], body["data"]["chain_id"], body["data"]["address"]) == (
            "log.emitted",
            5,
            TOKEN.lower(),
        )
        assert body["data"]["event"]["name"] == "Transfer"
        assert body["data"]["subscription"] == added["subscriptions"][0]["id"]
        receiver.reply_with(Reply(500, body=b"oops"))
        failed = hookfarm("test", added["id"])
        assert failed.returncode == 1
        assert "HTTP 500" in failed.stdout
    gone = hookfarm("test", added["id"])
    assert gone.returncode == 1
    assert "connection" in gone.stdout
    assert client.exists("delivery_queue") == 0


@pytest.mark.parametrize("command", ["show", "update", "remove", "test", "rotate-secret", "enable", "disable"])
def test_an_endpoint_that_is_not_there_is_named(hookfarm: Command, command: str) -> None:
    assert refused(hookfarm(command, UNKNOWN_ID), 1) == f"hookfarm: endpoint {UNKNOWN_ID!r} not found"


def test_a_redis_that_is_not_there_is_named(hookfarm: Command) -> None:
    line = refused(hookfarm("list", url="redis://user:hunter2@127.0.0.1:1/0"), 1)
    assert "redis://127.0.0.1:1/0" in line
    assert "hunter2" not in line


def test_without_a_redis_the_farm_of_the_state_directory_is_asked_for(hookfarm: Command, tmp_path: Path) -> None:
    line = refused(hookfarm("list", "--state-dir", str(tmp_path), url=""), 1)
    assert str(tmp_path) in line
    assert "hookfarm start" in line


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("add", "http://10.0.0.1/"), "url"),
        (("add", "https://example.com/", "--description", "\udcff"), "--description"),
        (("add", "https://example.com/", "--chain", "1", "--topics", "[" * 50_000), "--topics"),
        (("list", "--redis-url", "nonsense"), "redis-url"),
        (("show", "ep_\udcff"), "id"),
        (("seal",), "master_key"),
        (("add", "https://example.com/", "--max-in-flight", "0"), "--max-in-flight"),
        (("add", "https://example.com/", "--max-in-flight", "many"), "--max-in-flight"),
        (("add", "https://example.com/", "--rate-limit", "nan"), "--rate-limit"),
    ],
)
def test_bad_input_is_usage_and_names_its_field(
    client: Any, hookfarm: Command, arguments: tuple[str, ...], field: str
) -> None:
    assert refused(hookfarm(*arguments), 2).startswith(f"hookfarm: {field}: ")
    assert client.dbsize() == 0


@pytest.mark.parametrize(
    "arguments", [("add",), ("nonsense",), ("add", "https://e.com/", "--chain", "x"), ("list", "--x")]
)
def test_bad_usage_is_usage(hookfarm: Command, arguments: tuple[str, ...]) -> None:
    finished = hookfarm(*arguments)
    assert (finished.returncode, finished.stdout) == (2, "")
    assert "Traceback" not in finished.stderr


def test_a_bad_update_changes_nothing(client: Any, hookfarm: Command) -> None:
    endpoint = add_endpoint(client, "https://example.com/")
    revision = client.get("hookfarm:registry:revision")
    assert refused(hookfarm("update", endpoint.id, "--url", "ftp://x/"), 2).startswith("hookfarm: url: ")
    assert client.get("hookfarm:registry:revision") == revision


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"description": "x" * 501}, "--description"), ({"timeout_seconds": 0.0}, "--timeout"),
        ({"timeout_seconds": float("nan")}, "--timeout"), ({"headers": ("no colon",)}, "--header"),
        ({"headers": ("Host: x",)}, "--header 'Host'"), ({"headers": (": x",)}, "--header ''"),
        ({"headers": ("a: b\r\nc: d",)}, "--header 'a'"), ({"event": TRANSFER}, "--chain"),
        ({"event": ""}, "--chain"),
        ({"addresses": (TOKEN,)}, "--chain"), ({"confirmations": "0"}, "--chain"),
        ({"chains": (0,)}, "--chain"),
        ({"chains": (1, -1)}, "--chain"),
        ({"chains": (1,), "event": "no signature"}, "--event"),
        ({"chains": (1,), "event": ""}, "--event"),
        ({"chains": (1,), "addresses": ("0x1",)}, "--address"),
        ({"chains": (1,), "topics": "x"}, "--topics"), ({"chains": (1,), "topics": ""}, "--topics"),
        ({"chains": (1,), "topics": "NaN"}, "--topics"),
        ({"chains": (1,), "topics": '["0x1"]'}, "--topics"),
        ({"chains": (1,), "topics": "{}"}, "--topics"),
        ({"chains": (1,), "topics": "[]", "event": TRANSFER}, "--topics"),
        ({"chains": (1,), "where": "value > 1"}, "--where"),
        ({"chains": (1,), "event": TRANSFER, "where": "0"}, "--where"),
        ({"chains": (1,), "event": TRANSFER, "where": ""}, "--where"),
        ({"where": "value > 1"}, "--chain"),
        ({"chains": (1,), "confirmations": "latest"}, "--confirmations"),
        ({"chains": (1,), "confirmations": "-5"}, "--confirmations"),
        ({"chains": (1,), "confirmations": "99999"}, "--confirmations"),
        ({"operational": ("hookfarm.nothing",)}, "--operational"),
        ({"chains": (1,), "operational": ("hookfarm.delivery.dead,",)}, "--operational"),
        ({"operational": ("hookfarm.delivery.dead",), "where": "value > 1"}, "--chain"),
        ({"url": "http://localhost/"}, "url"),
    ],
)  # fmt: skip
def test_a_wrong_option_is_named(options: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        created_with({**NOTHING, **options})
    assert caught.value.field == field
    assert "\n" not in str(caught.value)


def test_topics_are_taken_as_eth_getlogs_has_them() -> None:
    word = "0x" + "11" * 32
    options = {**NOTHING, "chains": (1,), "topics": json.dumps([None, word, [word]])}
    assert created_with(options).subscriptions[0].topics == (None, (word,), (word,))


@pytest.mark.parametrize(
    "event",
    [
        None, TRANSFER, "Transfer(address,address,uint256)", "Note(string text, uint8[] list, bytes)", "Empty()",
        "Anonymous(uint256 a) anonymous",
        "Nested((string s, (bool b, bytes3 c)[2] t) pair, int8[2][3] grid, function f)",
        "Indexed(string indexed s, (uint8 a) indexed t)",
    ],
)  # fmt: skip
def test_every_kind_of_subscription_has_a_sample(event: str | None) -> None:
    with running_receiver() as receiver:
        config = load({"allow_private": "127.0.0.0/8"}, environment={})
        options = {**NOTHING, "chains": (1,), "event": event}
        endpoint = parse_record(new_record(receiver.url, options), config)
        [reply] = sent(endpoint, config)
        assert reply["delivered"]
        decoded = json.loads(receiver.received[0].body)["data"]["event"]
        assert (decoded is None) == (event is None)


def test_a_sample_too_large_to_send_has_no_arguments() -> None:
    with running_receiver() as receiver:
        config = load({"allow_private": "127.0.0.0/8"}, environment={})
        options = {**NOTHING, "chains": (1,), "event": "Large(uint8[100000][100000] a)"}
        endpoint = parse_record(new_record(receiver.url, options), config)
        assert sent(endpoint, config)[0]["delivered"]
        assert json.loads(receiver.received[0].body)["data"]["event"] is None
