"""Secrets that are sealed in Redis sign all the same."""

import base64
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import ip_network
from typing import Any

import pytest
from standardwebhooks import Webhook

from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.errors import InvalidInput
from hookfarm.records import Endpoint
from hookfarm.registry.store import Registry
from hookfarm.security.vault import MasterKey, Vault
from hookfarm.store import keys
from hookfarm.webhook_delivery.endpoints import EndpointCache
from tests.support.farm_processes import hookfarm

OLD, NEW = MasterKey("old", b"o" * 32), MasterKey("new", b"n" * 32)
LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.fixture
def send(client: Any) -> Callable[[Vault], Any]:
    """What a worker with that vault would send to ep_a."""

    def request(vault: Vault) -> Any:
        prepared = EndpointCache(LOOPBACK, vault).store("ep_a", 1, client.hget(keys.ENDPOINTS, "ep_a"))
        if not prepared or isinstance(prepared, InvalidInput):
            return prepared
        return prepared.request(ClaimedJob(0, "msg_1", "ep_a", 1, {}, b'{"a":1}'), 1_795_000_000)

    return request


def endpoint() -> Endpoint:
    return Endpoint("ep_a", "http://127.0.0.1:9999/")


def verifies(request: bytes, secret: str) -> bool:
    head, _, body = request.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
    signed = Webhook(secret).sign("msg_1", datetime.fromtimestamp(1_795_000_000, UTC), body.decode())
    return signed in headers["webhook-signature"].split(" ")


def test_a_sealed_secret_is_not_in_redis_and_signs(client: Any, send: Callable[[Vault], Any]) -> None:
    vault = Vault((NEW,))
    added = Registry(client, vault).add(endpoint())
    [(secret, _)] = added.secrets
    assert secret.startswith("whsec_")
    stored = client.hget(keys.ENDPOINTS, "ep_a").decode()
    assert secret not in stored
    assert "sealed:new:" in stored
    assert verifies(send(vault), secret)


def test_a_rotated_secret_is_sealed_too_and_both_sign(client: Any, send: Callable[[Vault], Any]) -> None:
    vault = Vault((NEW,))
    first = Registry(client, vault).add(endpoint()).secrets[0][0]
    second = Registry(client, vault).rotate_secret("ep_a", now=1_795_000_000).secrets[0][0]
    assert second not in client.hget(keys.ENDPOINTS, "ep_a").decode()
    assert verifies(send(vault), first)
    assert verifies(send(vault), second)


def test_without_its_master_key_nothing_is_sent_and_the_reason_names_it(
    client: Any, send: Callable[[Vault], Any]
) -> None:
    Registry(client, Vault((NEW,))).add(endpoint())
    refusal = send(Vault())
    assert isinstance(refusal, InvalidInput)
    assert str(refusal).startswith("master_key: 'new' is missing")


def test_the_command_seals_what_was_plain_and_what_an_older_key_sealed(
    client: Any, redis_url: str, send: Callable[[Vault], Any]
) -> None:
    plain = Registry(client).add(endpoint()).secrets[0][0]
    Registry(client, Vault((OLD,))).add(replace(endpoint(), id="ep_b"))

    def master_key(*known: MasterKey) -> str:
        return ",".join(f"{key.id}:{base64.b64encode(key.key).decode()}" for key in known)

    arguments = ("endpoints", "seal", "--json", "--redis-url", redis_url)
    said = hookfarm(*arguments, HOOKFARM_MASTER_KEY=master_key(NEW, OLD))
    assert json.loads(said.stdout) == {"endpoints": 2, "changed": 2}
    for endpoint_id in ("ep_a", "ep_b"):
        assert b"sealed:new:" in client.hget(keys.ENDPOINTS, endpoint_id)
    assert verifies(send(Vault((NEW,))), plain)
    said = hookfarm(*arguments, HOOKFARM_MASTER_KEY=master_key(NEW))
    assert json.loads(said.stdout) == {"endpoints": 2, "changed": 0}
    said = hookfarm(*arguments, HOOKFARM_MASTER_KEY=master_key(OLD))
    assert said.returncode == 2
    assert "'new' is missing" in said.stderr
