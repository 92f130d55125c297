"""What the API can choose and do, from the shell."""

import json
import os
import pty
import re
import subprocess
from functools import partial
from typing import Any

import pytest

from hookfarm import delivery_queue
from hookfarm.deliveries import log
from hookfarm.devchain.embedded import running_devchain
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.scripts import CIRCUIT_FAILURES
from tests.support.commands import running_command
from tests.support.delivery import CHAIN_ID, OneWorker, add_endpoint, enqueue, job, set_capacity
from tests.support.farm_processes import COMMAND, environment
from tests.support.farm_status import publish_lasting
from tests.support.finished_command import Command, done, refused, run
from tests.support.receivers import Receiver, Reply
from tests.support.waiting import eventually

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"


@pytest.fixture
def hookfarm(redis_url: str) -> Command:
    return partial(run, redis_url)


@pytest.fixture
def endpoint(client: Any, receiver: Receiver) -> Endpoint:
    return add_endpoint(client, receiver.url)


def parsed(finished: Any) -> Any:
    return json.loads(done(finished))


def test_endpoints_are_found_by_text_state_and_circuit(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    receiver.default = Reply(500)
    off = add_endpoint(client, "https://example.com/Off", enabled=False)
    enqueue(redis_url, *(job(endpoint) for _ in range(CIRCUIT_FAILURES)))
    set_capacity(client, 8)
    worker.step(CIRCUIT_FAILURES)
    worker.settle()

    def found(*choice: str) -> list[str]:
        return [one["id"] for one in parsed(hookfarm("endpoints", "list", *choice, "--json"))]

    assert found() == [off.id, endpoint.id], "the newest first"
    assert found("--limit", "1") == [off.id]
    assert found("--search", "example.COM/off") == [off.id]
    assert found("--enabled") == [endpoint.id]
    assert found("--disabled") == [off.id]
    assert found("--circuit", "open") == [endpoint.id]
    assert found("--circuit", "closed") == [off.id]
    shown = done(hookfarm("endpoints", "show", endpoint.id))
    assert re.search(rf"last attempts +0 of {CIRCUIT_FAILURES} succeeded", shown)
    assert re.search(rf"waiting for a retry +{CIRCUIT_FAILURES}\n", shown)
    assert parsed(hookfarm("endpoints", "show", endpoint.id, "--json"))["window"]["circuit"] == "open"


def test_an_endpoint_is_disabled_and_enabled(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    assert done(hookfarm("endpoints", "disable", endpoint.id)) == f"disabled {endpoint.id}\n"
    assert not Registry(client).get(endpoint.id).enabled
    enqueue(redis_url, job(endpoint, "msg_a"))
    assert [a["id"] for a in parsed(list_by_state(hookfarm, "parked", endpoint))["attempts"]] == ["msg_a"]
    assert parsed(hookfarm("endpoints", "enable", endpoint.id, "--json"))["enabled"] is True
    delivery_queue.tick(client)
    worker.step(1)
    worker.settle()
    assert [received.id for received in receiver.received] == ["msg_a"]


def list_by_state(hookfarm: Command, state: str, endpoint: Endpoint) -> Any:
    return hookfarm("deliveries", "list", "--state", state, "--endpoint", endpoint.id, "--json")


def test_an_endpoint_subscribes_to_hookfarm_itself(client: Any, hookfarm: Command) -> None:
    wanted = ("--operational", "hookfarm.delivery.dead", "--operational", "hookfarm.chain.stalled")
    added = parsed(hookfarm("endpoints", "add", "https://example.com/", "--chain", "1", *wanted, "--json"))
    of_chain, of_hookfarm = added["subscriptions"]
    assert of_chain["chain_id"] == 1
    assert (of_hookfarm["kind"], of_hookfarm["events"]) == ("operational", list(wanted[1::2]))
    done(hookfarm("endpoints", "update", added["id"], "--operational", "hookfarm.endpoint.disabled"))
    [only] = Registry(client).get(added["id"]).subscriptions
    assert only.events == ("hookfarm.endpoint.disabled",)


def test_samples_are_of_one_subscription_or_of_a_transaction(hookfarm: Command, receiver: Receiver) -> None:
    options = ("--chain", str(CHAIN_ID), "--event", TRANSFER, "--operational", "hookfarm.delivery.dead")
    added = parsed(hookfarm("endpoints", "add", receiver.url, *options, "--json"))
    first, second = (subscription["id"] for subscription in added["subscriptions"])
    test = partial(hookfarm, "endpoints", "test", added["id"])
    replies = parsed(test("--subscription", second, "--json"))
    assert [reply["subscription"] for reply in replies] == [second]
    assert "sub_other" in refused(test("--subscription", "sub_other"), 2)
    unknown = ("--transaction", f"0x{'11' * 32}")
    assert "give --chain ID=URL" in refused(test(*unknown), 2)
    assert refused(test("--transaction", "0x11"), 2).startswith("hookfarm: --transaction: ")
    with running_devchain(chain_id=CHAIN_ID, logs_per_block=2) as chain:
        chain.pause()
        chain.mine(1)
        log: Any = chain.canonical_logs()[-1]
        node = ("--chain", f"{CHAIN_ID}={chain.http_url}")
        said = done(test("--transaction", log["transactionHash"], *node))
        assert all(re.fullmatch(rf"{first}  HTTP 200  .+", line) for line in said.splitlines())
        data = [json.loads(received.body)["data"] for received in receiver.received[1:]]
        assert {body["transaction_hash"] for body in data} == {log["transactionHash"]}
        assert "not found on chain" in refused(test(*unknown, *node), 1)
        other = (
            "--transaction",
            log["transactionHash"],
            "--subscription",
            second,
            "--chain",
            f"1={chain.http_url}",
        )
        assert "give --chain ID=URL" in refused(test(*other), 2)


def test_deliveries_are_listed_by_where_they_stand(
    redis_url: str, worker: OneWorker, receiver: Receiver, endpoint: Endpoint, hookfarm: Command
) -> None:
    receiver.reply_with(503, 410)
    enqueue(redis_url, job(endpoint, "msg_retry"))
    worker.step(1)
    worker.settle()
    enqueue(redis_url, *(job(endpoint, f"msg_open_{n}") for n in range(3)))
    waiting = parsed(hookfarm("deliveries", "list", "--state", "retry", "--json"))["attempts"]
    assert [(a["id"], a["status"], a["error"], a["state"]) for a in waiting] == [("msg_retry", 503, None, "retry")]
    lines = done(hookfarm("deliveries", "list", "--state", "retry")).splitlines()
    assert lines[1].split()[1:5] == ["msg_retry", endpoint.id, "1", "HTTP"]
    assert lines[1].split()[-1].endswith("Z"), "when it is due"
    first = parsed(hookfarm("deliveries", "list", "--state", "open", "--limit", "2", "--json"))
    rest = parsed(hookfarm("deliveries", "list", "--state", "open", "--before", first["next_cursor"], "--json"))
    assert rest["next_cursor"] is None
    assert sorted(a["id"] for a in first["attempts"] + rest["attempts"]) == [f"msg_open_{n}" for n in range(3)]
    assert parsed(hookfarm("deliveries", "list", "--state", "dead", "--json")) == {
        "attempts": [],
        "next_cursor": None,
    }


def test_attempts_are_listed_up_to_a_time(
    client: Any, redis_url: str, worker: OneWorker, endpoint: Endpoint, hookfarm: Command
) -> None:
    enqueue(redis_url, job(endpoint, "msg_a"), job(endpoint, "msg_b"))
    worker.step(2)
    worker.settle()
    for of_whom in ((), ("--endpoint", endpoint.id)):
        choice = partial(hookfarm, "deliveries", "list", *of_whom, "--json")
        assert len(parsed(choice("--until", "2100-01-01"))["attempts"]) == 2
        assert parsed(choice("--until", "1h"))["attempts"] == []
        newest, older = parsed(choice("--until", "2100-01-01"))["attempts"]
        behind = parsed(choice("--until", "2100-01-01", "--before", newest["cursor"]))["attempts"]
        assert behind == [older]
        assert parsed(choice("--until", "1h", "--before", newest["cursor"]))["attempts"] == []
    none = hookfarm("deliveries", "redeliver", "--endpoint", endpoint.id, "--until", "1h", "--yes")
    assert done(none) == "redelivered 0\n"


def test_dead_letters_are_chosen_by_time_and_listed_a_page_at_a_time(
    client: Any, redis_url: str, worker: OneWorker, receiver: Receiver, hookfarm: Command
) -> None:
    receiver.default = Reply(410)
    for number in range(3):
        enqueue(redis_url, job(add_endpoint(client, receiver.url), f"msg_{number}"))
    worker.step(3)
    worker.settle()
    letters = parsed(hookfarm("dead-letters", "list", "--since", "1h", "--json"))
    assert len(letters) == 3
    assert parsed(hookfarm("dead-letters", "list", "--until", "1h", "--json")) == []
    first = hookfarm("dead-letters", "list", "--limit", "2")
    [cursor] = re.findall(r"--before (\S+)", first.stderr)
    rest = parsed(hookfarm("dead-letters", "list", "--before", cursor, "--json"))
    assert [letter["id"] for letter in rest] == [letters[2]["id"]]
    nothing = ("dead-letters", "purge", "--all", "--until", "1h", "--yes", "--json")
    assert parsed(hookfarm(*nothing)) == {"purged": 0, "missing": []}
    assert done(hookfarm("dead-letters", "redrive", "--all", "--until", "1h")) == "redelivered 0\n"
    assert parsed(hookfarm("dead-letters", "purge", "--all", "--since", "1h", "--yes", "--json"))["purged"] == 3
    assert log.find_all(client, ["msg_0", "msg_1", "msg_2"]) == [None] * 3


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        (("deliveries", "list", "--state", "parked"), "--endpoint"),
        (("deliveries", "list", "--state", "dead", "--endpoint", "ep_a", "--endpoint", "ep_b"), "--endpoint"),
        (("deliveries", "list", "--state", "dead", "--since", "1h"), "--since"),
        (("deliveries", "list", "--state", "open", "--before", "1-0"), "before"),
        (("deliveries", "list", "--until", "1h", "--before", "x"), "before"),
        (("deliveries", "list", "--until", "tomorrow"), "--until"),
        (("deliveries", "redeliver", "--endpoint", "ep_a", "--status", "open"), "--status"),
        (("deliveries", "list", "--state", "open", "--status", "failed"), "--status"),
        (("deliveries", "list", "--state", "lost"), "--state"),
        (("deliveries", "redeliver", "msg_a", "--until", "1h"), "id"),
        (("dead-letters", "list", "--before", "nan/msg_a"), "before"),
        (("dead-letters", "purge", "msg_a", "--until", "1h"), "id"),
    ],
)
def test_a_choice_that_cannot_be_met_is_refused_by_name(
    hookfarm: Command, arguments: tuple[str, ...], field: str
) -> None:
    assert refused(hookfarm(*arguments), 2).startswith(f"hookfarm: {field}: ")


def say(client: Any) -> None:
    """What a farm with one chain would say of itself."""
    chain = {
        "chain_id": 7,
        "head": 1100,
        "checkpoint": 1000,
        "lag_blocks": 100,
        "events_published": 3,
        "rpc_requests_per_block": 1.5,
        "catch_up": {"blocks_per_second": 12.0, "remaining_ms": 65_000},
        "reason": "",
    }
    publish_lasting(client, keys.EVENT_INGESTOR, {"workers": 1, "workers_up": 1, "chains": [chain]})
    publish_lasting(client, keys.WEBHOOK_DELIVERY, {"workers": 3, "activity": "bbp", "delivered": 4711})


def test_chains_are_shown_with_those_that_are_only_configured(client: Any, hookfarm: Command) -> None:
    say(client)
    named = {"HOOKFARM_CHAINS": "8=http://127.0.0.1:1"}
    first, second = parsed(hookfarm("chains", "--json", **named))
    assert (first["chain_id"], first["head"], first["lag_blocks"], first["ready"]) == (7, 1100, 100, True)
    assert (second["chain_id"], second["ready"], second["reason"]) == (8, False, "not reached by an ingestor yet")
    heading, seven, eight = done(hookfarm("chains", **named)).splitlines()
    assert heading.split()[:5] == ["chain", "ready", "head", "checkpoint", "lag"]
    assert seven.split()[:5] == ["7", "yes", "1,100", "1,000", "100"]
    assert seven.endswith("catching up, 12.0 blocks/s, 1:05 left")
    assert eight.split()[:3] == ["8", "no", "-"]


def test_top_tells_programs_a_picture_a_line(client: Any, redis_url: str, hookfarm: Command) -> None:
    say(client)
    [line] = done(hookfarm("top", "--once", "--json")).splitlines()
    assert json.loads(line)["delivery"]["delivered"] == 4711
    with running_command("top", "--json", "--interval", "0.1", "--redis-url", redis_url) as command:
        eventually(lambda: command.stdout.count("\n") >= 3, what="three lines")
        command.interrupt()
        assert command.wait() == 0
        assert {json.loads(line)["delivery"]["activity"] for line in command.stdout.splitlines()} == {"bbp"}


def test_a_shell_completes_commands_words_and_ids(client: Any, endpoint: Endpoint, hookfarm: Command) -> None:
    script = done(hookfarm("completion", "bash"))
    assert subprocess.run(["bash", "-n"], input=script, text=True, check=False).returncode == 0
    for shell, words in (("bash", "complete -o nosort -F"), ("zsh", "#compdef hookfarm"), ("fish", "complete ")):
        assert words in done(hookfarm("completion", shell))

    def completed(*words: str) -> list[str]:
        line = {"COMP_WORDS": " ".join(("hookfarm", *words)), "COMP_CWORD": str(len(words))}
        said = hookfarm(**line, _HOOKFARM_COMPLETE="bash_complete")
        return [item.partition(",")[2] for item in done(said).splitlines() if item]

    assert completed("dead") == ["dead-letters"]
    assert "hookfarm.delivery.dead" in completed("endpoints", "add", "u", "--operational", "hookfarm.d")
    assert completed("deliveries", "list", "--state", "par") == ["parked"]
    assert completed("endpoints", "show", endpoint.id[:6]) == [endpoint.id]
    assert completed("endpoints", "show", "--redis-url", "redis://127.0.0.1:1/0", "ep_") == []


@pytest.mark.parametrize(("variables", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_colours_unless_they_are_not_wanted(
    redis_url: str, worker: OneWorker, endpoint: Endpoint, variables: dict[str, str], coloured: bool
) -> None:
    enqueue(redis_url, job(endpoint, "msg_a"))
    worker.step(1)
    worker.settle()
    ours, theirs = pty.openpty()
    try:
        command = [*COMMAND, "deliveries", "show", "msg_a", "--redis-url", redis_url]
        clean = {**environment(TERM="xterm", NO_COLOR=""), **variables}
        finished = subprocess.run(command, env=clean, stdin=theirs, stdout=theirs, stderr=theirs, check=False)
        assert finished.returncode == 0
        said = os.read(ours, 65536).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "delivered" in said
    assert ("\x1b[32m" in said) == coloured
