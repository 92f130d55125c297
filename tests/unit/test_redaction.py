"""What may be shown of things that carry secrets."""

import pytest

from hookfarm.redaction import origin, redis_address, text


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("no secret here", "no secret here"),
        ("secret whsec_canary+/=_- is", "secret [redacted] is"),
        ("Bearer canary-1.2_3", "[redacted]"),
        ("header 'bearer canary'", "header '[redacted]'"),
        ("Authorization: Basic canary", "[redacted]"),
        ('{"authorization": "Token canary"}', '{"[redacted]"}'),
        ("a basic setting", "a basic setting"),
        ("wss://node.example/canary", "wss://node.example"),
        ("WSS://node.example/canary", "WSS://node.example"),
        ("https://u:canary@node.example:8545/canary?k=canary#canary", "https://node.example:8545"),
        ("https://u:can@ary@node.example/", "https://node.example"),
        ("https://canary@[::1]:80/canary", "https://[::1]:80"),
        ("rediss://:canary@redis.example:6379/0", "rediss://redis.example:6379"),
        ("at https://a/canary, then", "at https://a, then"),
        ("wss://a/canary,wss://b/canary", "wss://a,wss://b"),
        ("https://a/can,ary", "https://a"),
        ("https://a?canary", "https://a"),
        ('"https://a/canary"', '"https://a"'),
        (r"\"https://a/canary\"", r"\"https://a\""),
        ("unix:///run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_secrets_are_blanked_and_urls_cut_to_their_origin(written: str, shown: str) -> None:
    assert text(written) == shown
    assert text(shown) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://u:canary@node.example:8546/canary?canary", "wss://node.example:8546"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1", "(unreadable URL)"),
        ("canary", "://"),
    ],
)
def test_an_origin_is_enough_to_recognise_a_node_by(url: str, shown: str) -> None:
    assert origin(url) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://:canary@h:6379/1?password=canary", "redis://h:6379/1"),
        ("unix://u:canary@/run/a@b.sock?password=canary", "unix:///run/a@b.sock"),
        ("u:canary@h:6379", "u://h:6379"),
        ("redis://[::1", "(unreadable URL)"),
    ],
)
def test_the_address_of_a_redis_has_no_password(url: str, shown: str) -> None:
    assert redis_address(url) == shown
