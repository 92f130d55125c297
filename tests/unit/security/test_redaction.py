"""What may be shown of things that carry secrets."""

import pytest

from hookfarm.security.redaction import origin, redact, redis_address, sanitize, secrets_of_headers, secrets_of_url


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
        ("https://[::1]/canary", "https://[::1]"),
        ("https://user:canary/canary", "https://user"),
        ("https://a:8545canary/", "https://a"),
        ("http://127.0.0.1:8545: HTTP 401", "http://127.0.0.1:8545: HTTP 401"),
        ("http://a: no answer", "http://a: no answer"),
        ("allowed are http:// and https://", "allowed are http:// and https://"),
        ("ftp://u:canary@a/canary", "ftp://a"),
        ("rediss://:canary@redis.example:6379/0", "rediss://redis.example:6379/0"),
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
    assert sanitize(written) == shown
    assert sanitize(shown) == shown


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("wss://u:canary@node.example:8546/canary?canary", "wss://node.example:8546"),
        ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
        ("http://[::1]:8545", "http://[::1]:8545"),
        ("http://h:canary/", "http://h:…"),
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


def test_the_secrets_of_a_url_are_blanked_in_whatever_form_others_repeat_them() -> None:
    known = secrets_of_url("wss://user-0001:pass%2Fword@n.example/v3/3f0c5d1e9a7b?key=4a9d2b7e1c&net=mainnet")
    for said in ("no project 3f0c5d1e9a7b", "key=4a9d2b7e1c?", "pass/word or pass%2Fword", "user-0001 is unknown"):
        shown = redact(said, known)
        assert "[redacted]" in shown
        assert not any(secret in shown for secret in known)
    assert redact("Basic dXNlci0wMDAxOnBhc3Mvd29yZA==", known) == "Basic [redacted]"


@pytest.mark.parametrize("url", ["https://n.example/v3/mainnet?net=sepolia", "http://n:1/", "http://[::1", ""])
def test_parts_that_look_like_no_key_are_no_secrets_of_a_url(url: str) -> None:
    assert secrets_of_url(url) == ()


def test_the_path_of_a_redis_is_none_of_its_secrets() -> None:
    assert secrets_of_url("unix://:password@/tmp/hf-12345678/redis.sock", with_path=False) == (
        "OnBhc3N3b3Jk",
        "password",
    )


def test_headers_have_secrets_by_their_names_and_by_their_looks() -> None:
    headers = (("Authorization", "Bearer correcthorse"), ("x-env", "production"), ("x-id", "4f0e9b2a"), ("x", "1"))
    assert secrets_of_headers(headers) == ("Bearer correcthorse", "correcthorse", "4f0e9b2a")


def test_the_longest_secret_is_blanked_first() -> None:
    known = secrets_of_headers([("token", "a-secret-and-more a-secret")])
    assert redact("a-secret-and-more", known) == "[redacted]"


def test_a_message_that_is_too_short_for_a_secret_stays() -> None:
    assert sanitize("bearer") == "bearer"
