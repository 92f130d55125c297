"""`hookfarm listen` as a user runs it, fed with what the reference package signs."""

import base64
import http.client
import json
import socket
import subprocess
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from standardwebhooks import Webhook

from tests.support.commands import RunningCommand, running_command
from tests.support.farm_processes import CHECKOUT, COMMAND, environment, hookfarm
from tests.support.waiting import eventually

SECRET = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ...").decode()
OTHER = "whsec_" + base64.b64encode(b"another one of thirty-two bytes.").decode()
BODY = json.dumps({"type": "log.emitted", "data": {"event": {"name": "Transfer", "args": {"value": "5"}}}})


def port_of(listener: RunningCommand) -> int:
    """Where it listens; with --json this goes to stderr."""

    def said() -> str:
        lines = (listener.stdout + listener.stderr).splitlines()
        return next((line for line in lines if line.startswith("listening on ")), "")

    return int(eventually(said, what="listening").rpartition(":")[2].strip("/"))


def headers(secret: str, webhook_id: str = "msg_1", at: float | None = None, attempt: str = "1") -> dict[str, str]:
    sent_at = datetime.fromtimestamp(int(at or time.time()), UTC)
    return {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(int(sent_at.timestamp())),
        "webhook-signature": Webhook(secret).sign(webhook_id, sent_at, BODY),
        "webhook-attempt": attempt,
    }


def post(port: int, given: dict[str, str], body: str = BODY) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("POST", "/hook", body, given)
        return connection.getresponse().status
    finally:
        connection.close()


def test_good_bad_and_old_signatures_are_told_apart() -> None:
    with running_command("listen", "--port", "0", "--secret", OTHER, "--secret", SECRET) as listener:
        port = port_of(listener)
        assert post(port, headers(SECRET, "msg_good", attempt="3")) == 204
        assert post(port, {**headers(SECRET, "msg_bad"), "webhook-id": "msg_other"}) == 401
        assert post(port, headers(SECRET, "msg_old", at=time.time() - 600)) == 401
        assert post(port, {}) == 401
        listener.interrupt()
        assert listener.wait() == 0
        arrived = [line.split(maxsplit=1)[1] for line in listener.stdout.splitlines() if "#" in line]
        assert arrived[0] == "verified      msg_good  #3  log.emitted  Transfer  value=5"
        assert arrived[1].startswith("NOT verified  msg_other  #1")
        assert arrived[1].endswith("(no signature matches)")
        assert "(signed 60" in arrived[2]
        assert arrived[3].endswith("(no webhook-id)")
        assert "endpoints add" not in listener.stdout
        assert listener.stdout.splitlines()[-1] == "received 4  verified 1  NOT verified 3"


def test_without_a_secret_everything_is_shown_as_unverified_and_repeats_are_counted() -> None:
    with running_command("listen", "--port", "0") as listener:
        port = port_of(listener)
        assert [post(port, headers(SECRET, "msg_1")) for _ in range(2)] == [204, 204]
        listener.interrupt()
        assert listener.wait() == 0
        assert "unverified    msg_1" in listener.stdout
        assert listener.stdout.splitlines()[-1] == "received 2  unverified 2  repeated 1"
        tip = f"HOOKFARM_ALLOW_PRIVATE=127.0.0.0/8 hookfarm endpoints add http://127.0.0.1:{port}/ --chain"
        assert tip in listener.stdout


def test_json_is_one_object_a_line_and_nothing_else() -> None:
    with running_command("listen", "--port", "0", "--json", "--secret", SECRET) as listener:
        port = port_of(listener)
        post(port, headers(SECRET))
        post(port, headers(OTHER))
        listener.interrupt()
        assert listener.wait() == 0
        first, second = map(json.loads, listener.stdout.splitlines())
        assert (first["verified"], first["attempt"], first["body"]) == (True, 1, json.loads(BODY))
        assert (second["verified"], second["reason"]) == (False, "no signature matches")
        assert "received 2" in listener.stderr


def test_another_answer_may_be_asked_for() -> None:
    with running_command("listen", "--port", "0", "--status", "503") as listener:
        assert post(port_of(listener), headers(SECRET)) == 503


def test_a_connection_is_kept_and_a_hundred_may_wait() -> None:
    with running_command("listen", "--port", "0", "--secret", SECRET) as listener:
        port = port_of(listener)
        connections = [socket.create_connection(("127.0.0.1", port), timeout=5) for _ in range(100)]
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers(SECRET).items())
        request = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {len(BODY)}\r\n{lines}\r\n{BODY}".encode()
        for _ in range(2):
            for connection in connections:
                connection.sendall(request)
            answers = [connection.recv(4096) for connection in connections]
            assert answers == [b"HTTP/1.1 204 No Content\r\n\r\n"] * 100
        for connection in connections:
            connection.close()
        listener.interrupt()
        assert listener.wait() == 0
        assert listener.stdout.splitlines()[-1] == "received 200  verified 200  repeated 199"


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [("--port", "-1", "--port"), ("--status", "99", "--status"), ("--secret", "hunter2", "secret")],
)
def test_a_wrong_option_is_refused_in_one_line_that_names_it(option: str, value: str, field: str) -> None:
    ended = hookfarm("listen", option, value)
    assert ended.returncode == 2
    [line] = ended.stderr.splitlines()
    assert line.startswith(f"hookfarm: {field}: ")
    assert "hunter2" not in line


def test_a_port_in_use_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: Any = taken.getsockname()[1]
        ended = hookfarm("listen", "--port", str(port))
    assert ended.returncode == 1
    [line] = ended.stderr.splitlines()
    assert f"cannot listen on 127.0.0.1:{port}" in line


def test_it_ends_quietly_when_nobody_reads_it_any_more() -> None:
    listener = subprocess.Popen(
        [*COMMAND, "listen", "--port", "0"],
        cwd=CHECKOUT,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with listener:
        assert listener.stdout
        assert listener.stderr
        port = int(listener.stdout.readline().rpartition(":")[2].strip().strip("/"))
        listener.stdout.close()
        assert post(port, headers(SECRET)) == 204
        assert listener.wait(10) == 1
        assert listener.stderr.read() == ""
