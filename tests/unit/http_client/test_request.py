"""From an endpoint of the registry to the request that goes out."""

import time
from dataclasses import replace
from ipaddress import ip_network

import pytest

import hookfarm
from hookfarm.delivery_queue.job import ClaimedJob
from hookfarm.errors import InvalidInput
from hookfarm.http_client.request import compile_endpoint
from hookfarm.records import Endpoint
from hookfarm.registry.store import new_secret
from tests.support.receivers import verified

ENDPOINT = Endpoint(
    "ep_1",
    "https://example.com:8443/a%20b?c=d",
    headers=(("X-Custom", "one, two"), ("Authorization", "Bearer x")),
    secrets=((new_secret(), None),),
)
BODY = (
    '{"text":"ü","number":115792089237316195423570985008687907853269984665640564039457584007913129639935}'.encode()
)
CLAIMED = ClaimedJob(1, "msg_1", "ep_1", 3, {}, BODY)


def sent(endpoint: Endpoint, now: float) -> tuple[list[str], bytes]:
    head, _, body = compile_endpoint(endpoint, ()).request(CLAIMED, now).partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


def test_the_request_is_just_what_the_contract_says() -> None:
    now = time.time()
    lines, body = sent(ENDPOINT, now)
    headers = dict(line.split(": ", 1) for line in lines[1:])
    assert lines[0] == "POST /a%20b?c=d HTTP/1.1"
    signature = headers.pop("webhook-signature")
    assert headers == {
        "host": "example.com:8443",
        "user-agent": f"hookfarm/{hookfarm.__version__}",
        "accept": "*/*",
        "accept-encoding": "identity",
        "content-type": "application/json",
        "content-length": str(len(BODY)),
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(now)),
        "webhook-attempt": "3",
        "X-Custom": "one, two",
        "Authorization": "Bearer x",
    }
    assert body == BODY
    headers["webhook-signature"] = signature
    assert verified(ENDPOINT.secrets[0][0], body, headers)


def test_a_rotated_secret_signs_until_its_time_is_over() -> None:
    now = time.time()
    new, old = new_secret(), new_secret()
    endpoint = replace(ENDPOINT, secrets=((new, None), (old, now + 10)))
    for at, signatures in ((now, 2), (now + 9, 2), (now + 11, 1)):
        lines, body = sent(endpoint, at)
        headers = dict(line.split(": ", 1) for line in lines[1:])
        assert len(headers["webhook-signature"].split(" ")) == signatures
        assert verified(new, body, headers)
        assert verified(old, body, headers) == (signatures == 2)


def test_a_url_that_is_no_longer_allowed_is_not_prepared() -> None:
    private = replace(ENDPOINT, url="http://127.0.0.1:8080/")
    assert compile_endpoint(private, (ip_network("127.0.0.0/8"),))
    with pytest.raises(InvalidInput, match="url: "):
        compile_endpoint(private, ())


@pytest.mark.parametrize(
    ("url", "host"), [("https://EXAMPLE.com/", "example.com"), ("http://[2606:4700::1]/", "[2606:4700::1]")]
)
def test_the_host_header_is_the_urls_authority(url: str, host: str) -> None:
    lines, _ = sent(replace(ENDPOINT, url=url), 1.0)
    assert f"host: {host}" in lines
