"""A farm with a canary in every place where it is given a secret: nothing that it says, shows or keeps has one.

What an endpoint is made of (its URL with the query, its headers) is shown to whoever may read the registry, and
stands there; nowhere else. Its signing secret is shown when it is made, and never again.
"""

import json
import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hookfarm.store import keys
from tests.support.canaries import SIGN, canary, everything_in, everything_under
from tests.support.farm_processes import StartFarm, hookfarm
from tests.support.scraping import OPENMETRICS
from tests.support.secret_scene import (
    HEADER,
    IDEMPOTENCY_KEY,
    QUERY,
    REDIS_PASSWORD,
    REDIS_USER,
    REGISTERED,
    Scene,
    closed_port,
    rpc_url,
    running_scene,
)
from tests.support.waiting import eventually

SOON = 60.0


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))  # So that core files are possible.
    try:
        with running_scene(tmp_path) as running:
            yield running
    finally:
        resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


def test_nothing_that_a_farm_says_shows_or_keeps_has_a_secret_in_it(scene: Scene, start_farm: StartFarm) -> None:
    scene.collector.status = 401
    scene.start(start_farm)
    endpoints = add_endpoints(scene)
    let_everything_go_wrong(scene)
    look_at_the_farm(scene)
    look_at_the_registry(scene, endpoints)
    ask_for_what_is_wrong(scene, endpoints)
    break_the_settings(scene)
    scene.collector.status = 200
    reload(scene, log_format="json")
    let_everything_go_wrong(scene)
    quarrel_with_redis(scene)
    look_at_the_farm(scene)
    look_at_redis(scene)
    assert scene.farm.stop() == 0
    scene.haul.add("the farm's stdout", scene.farm.stdout)
    scene.haul.add("the farm's stderr", scene.farm.stderr)
    scene.haul.add("traces", str(scene.collector.spans))
    assert scene.haul.leaks() == []
    assert_it_all_happened(scene)


def add_endpoints(scene: Scene) -> list[str]:
    """One for each thing that a delivery may come to; the first delivers, the second says what it was sent."""
    said = f"http://127.0.0.1:{scene.echo.port}"
    return [
        scene.add_and_rotate_from_the_shell(),
        scene.add_endpoint(f"{said}/500/hook"),
        scene.add_endpoint(f"{said}/410/hook"),
        scene.add_endpoint(f"http://127.0.0.1:{closed_port()}/hook"),
        scene.add_endpoint(scene.untrusted.url),
        scene.add_endpoint(f"http://crashing.example:{scene.receiver.port}/hook"),
        scene.add_endpoint(f"http://stuck.example:{scene.receiver.port}/hook", timeout_seconds=0.5),
    ]


def let_everything_go_wrong(scene: Scene) -> None:
    """Nodes are left, deliveries come to everything that they may come to, a worker crashes, another one hangs."""
    said = scene.farm.stderr
    for name in ("crashing.example", "stuck.example"):
        (scene.place / name).unlink(missing_ok=True)
    received = len(scene.receiver.received)
    scene.chain.drop_connections()
    scene.chain.mine(2)
    scene.receiver.wait_for(received + 6, within=SOON)
    for words in ("child crashed", "Fatal Python error", "disconnected"):
        eventually(
            lambda: scene.farm.stderr.count(words) > said.count(words),  # noqa: B023
            SOON,
            words,
        )
    eventually(lambda: scene.farm.is_ready(keys.WEBHOOK_DELIVERY), SOON, "the successors of those that died")


def look_at_the_farm(scene: Scene) -> None:
    """All that is shown of it, and its processes from outside."""
    for path in ("/livez", "/readyz", "/health", "/", "/openapi.json", "/metrics", "/nowhere"):
        scene.ask("GET", path)
    scene.ask("GET", "/metrics", Accept=OPENMETRICS)
    for path in ("/v1/stats", "/v1/stats/stream", "/v1/chains"):
        scene.ask("GET", path)
    for command in (
        ("status",),
        ("status", "--json"),
        ("top", "--once"),
        ("top", "--once", "--json"),
        ("chains",),
    ):
        scene.command(*command)
    for process in scene.farm.survivors():
        scene.haul.add("a process's title", " ".join(process.cmdline()))
        assert process.rlimit(psutil.RLIMIT_CORE)[0] == 0, f"{process} may leave a core file"


def look_at_the_registry(scene: Scene, endpoints: list[str]) -> None:
    """Endpoints, deliveries and dead letters, from the shell and by the API; all are tried, some sent again."""
    for command in (("list",), ("list", "--json"), ("show", endpoints[0])):
        scene.command("endpoints", *command, may_show=REGISTERED)
    scene.command("export", may_show=REGISTERED)
    scene.ask("GET", "/v1/endpoints", may_show=REGISTERED)
    for endpoint in endpoints:
        scene.ask("GET", f"/v1/endpoints/{endpoint}", may_show=REGISTERED)
        scene.ask("POST", f"/v1/endpoints/{endpoint}/test")
        for delivery in deliveries_of(scene, endpoint):
            scene.ask("GET", f"/v1/deliveries/{delivery}")
    echoing = deliveries_of(scene, endpoints[1])[0]
    scene.command("deliveries", "show", echoing)
    scene.command("deliveries", "list")
    scene.command("dead-letters", "list", "--json")
    for form in ((), ("--json",)):
        scene.command("endpoints", "test", endpoints[1], *form, code=1)
    scene.ask("GET", "/v1/dead-letters")
    scene.ask("POST", "/v1/dead-letters/redrive", {})
    create_once_by_the_api(scene)


def deliveries_of(scene: Scene, endpoint: str) -> list[str]:
    listed = json.loads(scene.ask("GET", f"/v1/deliveries?endpoint={endpoint}"))["data"]
    found: list[str] = [row.get("delivery") or row["id"] for row in listed]
    return list(dict.fromkeys(found))


def create_once_by_the_api(scene: Scene) -> None:
    wanted = {"url": f"{scene.receiver.url}?token={QUERY}", "headers": {"x-api-key": HEADER}}
    once = {"Idempotency-Key": IDEMPOTENCY_KEY}
    _, said = scene.fetch("POST", "/v1/endpoints", wanted, **once)
    made = json.loads(said)
    scene.learn(made["secret"])
    scene.ask("POST", "/v1/endpoints", {**wanted, "ordered": True}, **once)
    scene.ask("PATCH", f"/v1/endpoints/{made['id']}", {"timeout_seconds": 3}, may_show=REGISTERED)
    scene.ask("DELETE", f"/v1/endpoints/{made['id']}")


def ask_for_what_is_wrong(scene: Scene, endpoints: list[str]) -> None:
    """Each with a secret beside or inside what is wrong."""
    for body in wrong_endpoints():
        assert '"status":4' in scene.ask("POST", "/v1/endpoints", body), body
        assert '"status":4' in scene.ask("PATCH", f"/v1/endpoints/{endpoints[0]}", body), body
    scene.ask("GET", "/v1/endpoints", Authorization=f"Bearer {canary('other-token')}")
    scene.ask("GET", "/v1/endpoints", Authorization=f"Basic {canary('basic')}")
    scene.ask("GET", "/v1/endpoints", Host=f"{canary('host')}.example")
    scene.ask("POST", "/v1/endpoints", {"url": scene.receiver.url}, **{"Idempotency-Key": f"{canary('key')} x"})


def wrong_endpoints() -> Iterator[object]:
    """Bodies that are no endpoint."""
    secret = canary("wrong")
    for url in wrong_urls():
        yield {"url": url}
    for headers in (
        f"Authorization: Bearer {secret}",
        f"x-api-key: {secret}",
        [f"x-api-key: {secret}"],
        {f"x-api-key: {secret}": ""},
        {"host": secret},
        {"x-api-key": f"{secret}\n"},
        {"x-api-key": [secret]},
        {"Authorization": f"Bearer {secret}", "x": 1},
    ):
        yield {"url": "https://hooks.example/", "headers": headers}
    yield {"url": {"password": f"Bearer {secret}"}}
    yield {"url": "https://hooks.example/", "secret": f"whsec_{secret}"}
    yield f'{{"url": "https://u:{secret}@hooks.example/'
    yield f"Bearer {secret}"


def wrong_urls() -> Iterator[str]:
    secret = canary("wrong-url")
    yield f"https://user:{secret}@hooks.example/hook"
    yield f"https://{secret}@hooks.example/hook"
    yield f"user:{secret}@hooks.example/hook"
    yield f"{secret}@hooks.example"
    yield f"hooks.example/{secret}"
    yield f"hooks.example?token={secret}"
    yield f"ftp://user:{secret}@hooks.example/{secret}"
    yield f"https://hooks.example:{secret}/hook"
    yield f"https://[{secret}/hook"
    yield f"https://hooks.example/{secret} {secret}"
    yield f"https://hooks.example/#{secret}"
    yield f"https://user:{secret}@hooks.example/{'x' * 3000}"
    yield f"http://127.1/{secret}?token={secret}"


def break_the_settings(scene: Scene) -> None:
    """A reload that is refused, for what stands next to secrets, and for what is wrong with one."""
    for others in (
        {"workers": "many"},
        {"api": f"http://u:{canary('api')}@127.0.0.1"},
        {"chains": [rpc_url("ftp://node.example")]},
        {"chains": [f"node.example/{canary('chain')}"]},
        {"chains": [f"1370=wss://node.example/key;{canary('chain-setting')}"]},
        {"otel_endpoint": f"ftp://u:{canary('otel')}@collector"},
    ):
        refused = scene.farm.stderr.count("reload refused")
        scene.configure(**others)
        scene.farm.signal(signal.SIGHUP)
        eventually(lambda: scene.farm.stderr.count("reload refused") > refused, SOON, "the refusal")  # noqa: B023


def reload(scene: Scene, **others: object) -> None:
    said = scene.farm.stderr.count("reloaded")
    scene.configure(**others)
    scene.farm.signal(signal.SIGHUP)
    eventually(lambda: scene.farm.stderr.count("reloaded") > said, SOON, "the reload")


def quarrel_with_redis(scene: Scene) -> None:
    """It takes another password for a while, then no command, and then it is killed; it comes back each time."""
    with scene.server.client() as admin:
        for begin, end in (
            (("resetpass", ">another-one"), ("resetpass", f">{REDIS_PASSWORD}")),
            (("-@all",), ("+@all",)),
        ):
            admin.execute_command("ACL", "SETUSER", REDIS_USER, *begin)
            admin.execute_command("CLIENT", "KILL", "USER", REDIS_USER)
            see_it_gone(scene)
            admin.execute_command("ACL", "SETUSER", REDIS_USER, *end)
            see_it_back(scene)
    scene.server.kill(synced=True)
    see_it_gone(scene)
    scene.server.start()
    see_it_back(scene)


def see_it_gone(scene: Scene) -> None:
    eventually(lambda: "not ready" in scene.fetch("GET", "/readyz")[1], SOON, "Redis being missed")
    for path in ("/health", "/metrics", "/v1/stats", "/v1/endpoints"):
        scene.ask("GET", path)
    scene.command("status", code=1)


def see_it_back(scene: Scene) -> None:
    eventually(lambda: '"ready"' in scene.fetch("GET", "/readyz")[1], SOON, "everything being ready")


def look_at_redis(scene: Scene) -> None:
    """Its keys, and its files."""
    with scene.server.client() as client:
        for key, content in everything_in(client).items():
            scene.haul.add(f"key {key}", key + content, REGISTERED if key == keys.ENDPOINTS else ())
    for file, content in everything_under(scene.server.directory.data).items():
        scene.haul.add(f"file {file}", content, REGISTERED)


def assert_it_all_happened(scene: Scene) -> None:
    """Or the test would not bite."""
    text, _, rest = scene.farm.stderr.partition("\n{")
    for words in ("child crashed", "Fatal Python error: Aborted", "node unavailable", "Traceback"):
        assert words in text, words
        assert words in rest, words
    for words in (
        *("dead letter", "reload refused", "traces not sent"),
        *("error=tls", "error=connection", "status=500", "status=410"),
    ):
        assert words in text, words
    for words in ("redis down", "invalid username-password", "no permissions", '"outcome": "delivered"'):
        assert words in rest, words
    assert {"block", "match", "attempt"} <= {span.name for span in scene.collector.spans}


WRONG = canary("wrong")
ADD = ("endpoints", "add")
HOOK = "https://hooks.example/hook"
SETTINGS = {"HOOKFARM_REDIS_URL": f"redis://user:{WRONG}@127.0.0.1:1/0", "HOOKFARM_API_TOKEN": WRONG}


@pytest.mark.parametrize(
    ("arguments", "variables"),
    [
        *(((*ADD, url, "--chain", "1"), {}) for url in wrong_urls()),
        ((*ADD, HOOK, "--chain", "1", "--header", WRONG), {}),
        ((*ADD, HOOK, "--chain", "1", "--header", f"x-api-key {WRONG}: x"), {}),
        ((*ADD, HOOK, f"https://user:{WRONG}@hooks.example"), {}),
        ((*ADD, HOOK, "--chain", "1", "--event", "no event", "--header", f"Authorization: Bearer {WRONG}"), {}),
        (("start", "--chain", f"node.example/v3/{WRONG}"), {}),
        (("start", "--chain", f"1=node.example/v3/{WRONG}"), {}),
        (("start", "--chain", f"1=wss://node.example/;{WRONG}"), {}),
        (("start", "--chain", f"1=wss://u:{WRONG}@node.example:{WRONG}/"), {}),
        (("start", f"wss://node.example/{WRONG}"), {}),
        (("start", "--api", f"http://u:{WRONG}@127.0.0.1:8400"), {}),
        (("start", "--otel-endpoint", f"http://collector/?{WRONG}"), {}),
        (("start", "--workers", "0"), SETTINGS),
        (("start",), {"HOOKFARM_API_TOKEN": f"{WRONG} with a space"}),
        (("start",), {"HOOKFARM_MASTER_KEY": WRONG}),
        (("start",), {"HOOKFARM_MASTER_KEY": f"first:{WRONG}"}),
        (("status", "--redis-url", f"rediss//:{WRONG}@redis.example"), {}),
        (("status", "--redis-url", f"redis://:{WRONG}@redis.example:{WRONG}"), {}),
        (("status", "--redis-url", f"redis://:{WRONG}@127.0.0.1:1/0?{WRONG}=1"), {}),
        (("status", "--redis-url", f"redis://127.0.0.1:1/0?socket_timeout={WRONG}"), {}),
        (("status",), SETTINGS),
        (("listen", "--secret", f"whsec_{WRONG}"), {}),
    ],
)
def test_a_command_that_refuses_does_not_repeat_a_secret(
    arguments: tuple[str, ...], variables: dict[str, str]
) -> None:
    said = hookfarm(*arguments, within=60, **variables)
    assert said.returncode in (1, 2), said.stdout
    assert said.stderr
    assert SIGN not in said.stdout + said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.toml", f'[[endpoints]]\nurl = "https://u:{WRONG}@hooks.example/"'),
        ("a.toml", f'[[endpoints]]\nurl = "{HOOK}"\nheaders = {{ x-api-key = "{WRONG}" }} {WRONG}'),
        ("a.yaml", f"endpoints:\n- url: {HOOK}\n  headers:\n   x-api-key: {WRONG}\n    Authorization: '{WRONG}"),
        ("a.yaml", f"endpoints:\n- url: {HOOK}\n  headers: [x-api-key, {WRONG}]"),
        ("a.yaml", f"endpoints:\n- url: {HOOK}\n  headers: {{x-api-key: *{WRONG}}}"),
        ("a.yaml", f"endpoints:\n- url: {HOOK}\n  headers: !{WRONG} x"),
        ("a.json", f'{{"endpoints": [{{"url": "{HOOK}", "headers": {{"x-api-key": "{WRONG}"}}'),
        ("a.json", f'{{"endpoints": [{{"url": "{HOOK}", "headers": "x-api-key: {WRONG}"}}]}}'),
        ("a.json", f'{{"endpoints": ["x-api-key: {WRONG}"]}}'),
        ("settings.toml", f'chains = {{ 1 = {{ url = "https://node.example/{WRONG}" }} }}'),
        ("settings.toml", f'api_token = "{WRONG}"\nworkers = 0'),
        ("settings.toml", f'api_token = "{WRONG}'),
        ("settings.toml", f'api_token = ["{WRONG}"]'),
    ],
)
def test_a_file_that_is_refused_is_not_repeated(redis_url: str, tmp_path: Path, name: str, content: str) -> None:
    file = tmp_path / name
    file.write_text(content)
    told = ("status", "--config") if name == "settings.toml" else ("apply",)
    said = hookfarm(*told, str(file), within=60, HOOKFARM_REDIS_URL=redis_url)
    assert said.returncode == 2, said.stderr
    assert SIGN not in said.stdout + said.stderr
    assert "Traceback" not in said.stderr


@pytest.mark.parametrize("wrong", ["node", "password"])
def test_a_farm_that_does_not_start_says_why_without_its_secrets(
    scene: Scene, start_farm: StartFarm, wrong: str
) -> None:
    node = rpc_url(f"http://127.0.0.1:{scene.nodes.port}", "error") if wrong == "node" else scene.chain.ws_url
    url = scene.redis_url if wrong == "node" else scene.redis_url.replace(REDIS_PASSWORD, canary("no-password"))
    farm = start_farm("--chain", f"1370={node}", "--workers", "1", "--api", "127.0.0.1:0", redis_url=url)
    assert farm.wait(within=60) == 1
    assert ("-32001" if wrong == "node" else "refused the login") in farm.stderr
    assert SIGN not in farm.stdout + farm.stderr
