"""Who may ask the API, by which name, how much at once; and where its token comes from."""

import socket
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from hookfarm import config
from hookfarm.api import process
from hookfarm.api.requests import MAX_BODY_BYTES
from hookfarm.errors import OperatorError
from tests.support.api_process import TOKEN, Api, refused, running_api
from tests.support.redis_server import RedisServer


@pytest.fixture
def api(redis_server: RedisServer) -> Iterator[Api]:
    with running_api(redis_server.url, hosts=("hooks.example",)) as one:
        yield one


@pytest.mark.parametrize("token", [None, "wrong", TOKEN[:-1], f"{TOKEN}x", "ä"])
def test_without_the_token_nothing_under_v1_is_answered(api: Api, token: str | None) -> None:
    for method, path in (("GET", "/v1/endpoints"), ("POST", "/v1/dead-letters/purge"), ("GET", "/v1/stats")):
        reply = api.ask(method, path, token=None, headers={"Authorization": f"Bearer {token}"} if token else {})
        assert refused(reply, 401) == "None"
        assert reply.headers["www-authenticate"] == "Bearer"
    assert api.ask("GET", "/livez", token=None).status == 200


def test_it_answers_to_its_own_names_only(api: Api) -> None:
    for name in ("hooks.example", "HOOKS.example:8400", "localhost:1", "127.0.0.1", "[::1]:8400", "localhost."):
        assert api.ask("GET", "/v1/endpoints", headers={"Host": name}).status == 200, name
    for name in ("evil.example", "192.0.2.1", "hooks.example.evil.example", "", "a b", "[::1"):
        refused(api.ask("GET", "/v1/endpoints", headers={"Host": name}), 421)
        refused(api.ask("GET", "/livez", headers={"Host": name}), 421)


def test_where_it_listens_on_every_address_it_may_be_called_by_any(redis_server: RedisServer) -> None:
    with running_api(redis_server.url, hosts=("0.0.0.0",)) as api:
        assert api.ask("GET", "/livez", headers={"Host": "192.0.2.1:8400"}).status == 200
        refused(api.ask("GET", "/livez", headers={"Host": "evil.example"}), 421)


def test_no_page_of_another_site_is_let_in(api: Api) -> None:
    origin = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    for method in ("GET", "OPTIONS"):
        reply = api.ask(method, "/v1/endpoints", headers=origin)
        assert not [name for name in reply.headers if name.startswith("access-control-")]


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        (b"", 400, "body"),
        (b"{", 400, "body"),
        (b'{"url":"\xff"}', 400, "body"),
        (b"[]", 422, "body"),
        (b"null", 422, "body"),
        (orjson.dumps({"headers": orjson.loads("[" * 40 + "]" * 40)}), 422, "body"),
        (b"[" * 100_000, 400, "body"),
        (b" " * (MAX_BODY_BYTES + 1), 413, None),
    ],
)
def test_a_body_that_is_no_json_object_of_sensible_size_is_refused(
    api: Api, body: bytes, status: int, field: str | None
) -> None:
    refused(api.ask("POST", "/v1/endpoints", body), status, field)


def test_a_body_that_does_not_say_how_long_it_is_is_counted(api: Api) -> None:
    with socket.create_connection(("127.0.0.1", api.port), timeout=20) as connection:
        head = f"POST /v1/endpoints HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"8000\r\n" + b" " * 0x8000 + b"\r\n"
        for _ in range(MAX_BODY_BYTES // 0x8000 + 1):
            connection.sendall(chunk)
        assert connection.recv(1024).startswith(b"HTTP/1.1 413 ")


def test_a_form_is_no_json(api: Api) -> None:
    refused(api.ask("POST", "/v1/endpoints", b"url=x", {"Content-Type": "application/x-www-form-urlencoded"}), 415)


@pytest.mark.parametrize(
    ("query", "field"),
    [("limit=0", "limit"), ("limit=201", "limit"), ("limit=x", "limit"), ("colour=red", "colour"),
     ("limit=1&limit=2", "limit"), ("cursor=x", "cursor"), ("enabled=yes", "enabled"),
     ("circuit=half", "circuit")],
)  # fmt: skip
def test_a_wrong_parameter_is_refused_by_its_name(api: Api, query: str, field: str) -> None:
    refused(api.ask("GET", f"/v1/endpoints?{query}"), 422, field)


def test_without_redis_everything_under_v1_says_so_and_goes_on_when_it_is_back(
    api: Api, redis_server: RedisServer
) -> None:
    redis_server.kill()
    for path in ("/v1/endpoints", "/v1/deliveries", "/v1/dead-letters?reason=x", "/v1/chains", "/v1/stats"):
        reply = api.ask("GET", path)
        refused(reply, 503)
        assert reply.headers["retry-after"] == "2", path
    redis_server.start()
    assert api.ask("GET", "/v1/endpoints").status == 200


def test_a_method_that_a_path_has_not_is_answered_with_those_that_it_has(api: Api) -> None:
    reply = api.ask("PUT", "/v1/endpoints/ep_1")
    refused(reply, 405)
    assert reply.headers["allow"] == "DELETE, GET, PATCH"


def settings(state_dir: Path, **environment: str) -> Any:
    return config.load({"state_dir": state_dir}, environment=environment)


def test_a_token_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    given = settings(tmp_path / "state")
    assert process.read(given) is None
    made = process.load_or_create(given)
    assert len(made) >= 32
    assert process.load_or_create(given) == process.read(given) == process.load(tmp_path / "state") == made
    [file] = (tmp_path / "state").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_operators_token_comes_before_the_one_that_was_made(tmp_path: Path) -> None:
    process.load_or_create(settings(tmp_path))
    given = settings(tmp_path, HOOKFARM_API_TOKEN="chosen-by-the-operator")
    assert process.load_or_create(given) == "chosen-by-the-operator"
    assert "chosen-by" not in repr(given)


def test_a_token_that_cannot_be_kept_or_read_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OperatorError, match=r"cannot (store|read) .*api-token"):
        process.load_or_create(settings(tmp_path / "file"))
    (tmp_path / "api-token").write_text("short")
    with pytest.raises(OperatorError, match="is not a valid token"):
        process.load_or_create(settings(tmp_path))
