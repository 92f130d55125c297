"""A farm and its surroundings, with a canary in place of every secret."""

import json
import os
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from hookfarm.devchain.embedded import RunningDevchain, running_devchain
from tests.support.canaries import Haul, basic, canary, canary_key
from tests.support.collector import Collector, running_collector
from tests.support.farm_processes import CHECKOUT, FarmProcess, StartFarm, hookfarm
from tests.support.receivers import Peer, Receiver, peer, read_request, running_receiver
from tests.support.redis_server import RedisServer, running_redis
from tests.support.scraping import api_address

LOOPBACK = "127.0.0.0/8"
TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"
WORLD = CHECKOUT / "tests" / "support" / "odd_world"
CHAIN = 1370

REDIS_USER, REDIS_PASSWORD = canary("redis-user"), canary("redis-password")
RPC_USER, RPC_PASSWORD = canary("rpc-user"), canary("rpc-password")
RPC_PATH, RPC_QUERY = canary("rpc-path"), canary("rpc-query")
TOKEN, MASTER_KEY = canary("api-token"), canary_key("master-key")
COLLECTOR_USER, COLLECTOR_PASSWORD = canary("collector-user"), canary("collector-password")
COLLECTOR_HEADER = canary("collector-header")
QUERY, BEARER, HEADER = canary("hook-query"), canary("bearer"), canary("header")
IDEMPOTENCY_KEY = canary("idempotency-key")
REGISTERED = (QUERY, BEARER, HEADER)
"""Canaries in endpoints: visible to readers of the registry."""
NODE_WAYS = ("401", "429", "500", "302", "error", "garbage")
"""Ways in which nodes refuse."""


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def untrusted() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CHECKOUT / "tests" / "unit" / "http_client" / "certificates" / "good.pem")
    return context


def rpc_url(url: str, path: str = "v3") -> str:
    """Return the URL of a paid node, with its key."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{RPC_USER}:{RPC_PASSWORD}@{parts.netloc}/{path}/{RPC_PATH}?apikey={RPC_QUERY}"


def echo(connection: socket.socket, _: int) -> None:
    """Reply with the status from the request's path, and with the whole request."""
    while True:
        head, body = read_request(connection)
        status = head.split(b"/")[1].decode()
        lines = head.decode().split("\r\n")
        said = (
            f"bad key {HEADER}, bad token {BEARER}, bad query {QUERY}\n{json.dumps(lines)}\n".encode()
            + head
            + body
        )
        answer = [f"HTTP/1.1 {status} {HEADER}", f"content-length: {len(said)}", f"x-echo: {BEARER} {QUERY}"]
        connection.sendall("\r\n".join([*answer, "", ""]).encode() + said)


def refuse_as_a_node(connection: socket.socket, _: int) -> None:
    """Refuse as named by the path, and repeat the URL and the request."""
    while True:
        head, _body = read_request(connection)
        way = head.split(b"/")[1].decode()
        said = f"no project {RPC_PATH} with {RPC_QUERY} of {RPC_USER}:{RPC_PASSWORD} "
        said += f"({basic(RPC_USER, RPC_PASSWORD)}) {head.decode()}"
        if way == "error":
            said = json.dumps({"jsonrpc": "2.0", "id": 0, "error": {"code": -32001, "message": said}})
        location = rpc_url("http://127.0.0.1:1")
        status = f"{way if way.isdigit() else 200} {RPC_PATH}"
        answer = [f"HTTP/1.1 {status}", f"content-length: {len(said)}", f"location: {location}"]
        connection.sendall("\r\n".join([*answer, "", ""]).encode() + said.encode())


@dataclass
class Scene:
    """The farm, its surroundings, and its collected outputs."""

    server: RedisServer
    chain: RunningDevchain
    nodes: Peer
    receiver: Receiver
    echo: Peer
    untrusted: Peer
    """Like `echo`, with an untrusted certificate."""
    collector: Collector
    place: Path
    haul: Haul = field(default_factory=Haul)
    farms: list[FarmProcess] = field(default_factory=list)

    @property
    def farm(self) -> FarmProcess:
        return self.farms[-1]

    @property
    def redis_url(self) -> str:
        return f"unix://{REDIS_USER}:{REDIS_PASSWORD}@{self.server.directory.socket}?db=0"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "HOOKFARM_REDIS_URL": self.redis_url,
            "HOOKFARM_API_TOKEN": TOKEN,
            "HOOKFARM_MASTER_KEY": f"first:{MASTER_KEY}",
            "HOOKFARM_ALLOW_PRIVATE": LOOPBACK,
        }

    def configure(self, **others: Any) -> Path:
        """Write the file of settings, many of which contain secrets."""
        refusing = [rpc_url(f"http://127.0.0.1:{self.nodes.port}", way) for way in NODE_WAYS]
        refusing += [rpc_url(f"ws://127.0.0.1:{port}", "401") for port in (closed_port(), self.nodes.port)]
        settings = {
            "chains": [f"{CHAIN}={','.join([*refusing, rpc_url(self.chain.ws_url)])}"],
            "api": "127.0.0.1:0",
            "workers": 3,
            "retry_schedule": "100ms,100ms",
            "log_level": "debug",
            "log_attempts": "all",
            "otel_endpoint": self.collector.url.replace("//", f"//{COLLECTOR_USER}:{COLLECTOR_PASSWORD}@"),
            **others,
        }
        file = self.place / "hookfarm.toml"
        file.write_text("".join(f"{name} = {json.dumps(value)}\n" for name, value in settings.items()))
        return file

    def start(self, start_farm: StartFarm) -> None:
        """Start the farm with a fault that makes a worker die with all secrets in its error."""
        words = [
            self.redis_url,
            TOKEN,
            MASTER_KEY,
            REDIS_PASSWORD,
            rpc_url("wss://node.example"),
            RPC_PATH,
            RPC_QUERY,
        ]
        words += [f"Authorization: Basic {basic(RPC_USER, RPC_PASSWORD)}", f"whsec_{canary('whsec')}"]
        farm = start_farm(
            *("--config", str(self.configure(log_format="text"))),
            redis_url=self.redis_url,
            PYTHONPATH=os.pathsep.join(filter(None, (str(WORLD), os.environ.get("PYTHONPATH")))),
            ODD_WORLD_ONCE=str(self.place),
            ODD_WORLD_LAST_WORDS=" ".join(words),
            OTEL_EXPORTER_OTLP_HEADERS=f"x-key={COLLECTOR_HEADER}",
            OTEL_BSP_SCHEDULE_DELAY="50",
            **self.environment,
        )
        self.farms.append(farm)
        farm.wait_ready()

    def command(self, *arguments: str, may_show: Sequence[str] = (), code: int | None = 0) -> str:
        """Run a command, collect its output, and return its stdout."""
        said = hookfarm(*arguments, within=60, **self.environment)
        assert code is None or said.returncode == code, said.stderr
        name = f"hookfarm {' '.join(word for word in arguments[:2] if not word.startswith('-'))}"
        self.haul.add(name, said.stdout, may_show)
        self.haul.add(f"{name} (stderr)", said.stderr)
        return said.stdout

    def add_endpoint(self, url: str, **others: Any) -> str:
        """Add an endpoint, search for its secret from now on, and return its id."""
        made = {
            "url": f"{url}?token={QUERY}",
            "headers": {"Authorization": f"Bearer {BEARER}", "x-api-key": HEADER},
            "subscriptions": [{"chain_id": CHAIN, "event": TRANSFER}],
        }
        shown = json.loads(self.fetch("POST", "/v1/endpoints", {**made, **others})[1])
        self.learn(shown["secret"])
        identity: str = shown["id"]
        return identity

    def add_and_rotate_from_the_shell(self) -> str:
        """Add a working endpoint by command, rotate its secret, and return its id."""
        headers = ("--header", f"Authorization: Bearer {BEARER}", "--header", f"x-api-key: {HEADER}")
        wanted = ("--chain", str(CHAIN), "--event", TRANSFER)
        made = self._told("add", f"{self.receiver.url}?token={QUERY}", *wanted, *headers)
        return self._told("rotate-secret", made)

    def _told(self, *arguments: str) -> str:
        """Run a command that shows a secret; return the endpoint's id."""
        said = hookfarm("endpoints", *arguments, "--json", within=60, **self.environment)
        assert said.returncode == 0, said.stderr
        shown = json.loads(said.stdout)
        self.learn(shown["secret"])
        identity: str = shown["id"]
        return identity

    def learn(self, secret: str) -> None:
        self.receiver.trust(secret)
        self.haul.know(secret.removeprefix("whsec_"))

    def ask(self, method: str, path: str, body: Any = None, may_show: Sequence[str] = (), **headers: str) -> str:
        """Send a request with the token to the API, and collect the response."""
        head, said = self.fetch(method, path, body, **headers)
        self.haul.add(f"{method} {path}", f"{head}\n{said}", may_show)
        return said

    def fetch(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[str, str]:
        """Return head and body of a response without collecting it; of a stream, its first event."""
        request = urllib.request.Request(
            api_address(self.farm) + path,
            body.encode() if isinstance(body, str) else None if body is None else json.dumps(body).encode(),
            {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json", **headers},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                read = (lambda: _first_event(answer)) if path.endswith("/stream") else answer.read
                return f"{answer.status} {answer.headers}", read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return f"{error.status} {error.headers}", error.read().decode()


def _first_event(stream: Any) -> bytes:
    lines = []
    while line := stream.readline().strip():
        lines.append(line)
    return b"\n".join(lines)


@contextmanager
def running_scene(place: Path) -> Iterator[Scene]:
    """Run the surroundings of the farm during the context."""
    rights = ("on", f">{REDIS_PASSWORD}", "~*", "&*", "+@all")
    with ExitStack() as stack:
        yield Scene(
            stack.enter_context(running_redis("--user", REDIS_USER, *rights)),
            stack.enter_context(running_devchain(chain_id=CHAIN, logs_per_block=3)),
            stack.enter_context(peer(refuse_as_a_node)),
            stack.enter_context(running_receiver()),
            stack.enter_context(peer(echo)),
            stack.enter_context(peer(echo, untrusted())),
            stack.enter_context(running_collector()),
            place,
        )
