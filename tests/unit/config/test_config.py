"""Settings: where they come from, and what is refused."""

import base64
import contextlib
import os
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from hookfarm import config
from hookfarm.config import DEFAULT_RETRY_SCHEDULE, MAX_WORKERS, SETTINGS, Address, ChainConfig, Config, load
from hookfarm.errors import InvalidInput

Write = Callable[[str], Path]


@pytest.fixture
def toml(tmp_path: Path) -> Write:
    def write(text: str) -> Path:
        file = tmp_path / "hookfarm.toml"
        file.write_text(text)
        return file

    return write


def option(name: str, value: Any) -> Config:
    return load({name: value}, environment={})


def refusal(name: str, value: Any) -> InvalidInput:
    with pytest.raises(InvalidInput) as caught:
        option(name, value)
    return caught.value


def test_without_anything_given_the_defaults_are_in_force() -> None:
    config = load(environment={})
    assert config.redis_url is None
    assert (config.workers, config.processors, config.chains) == (50, 1, ())
    assert str(config.api) == "127.0.0.1:8400"
    assert config.retry_schedule == DEFAULT_RETRY_SCHEDULE
    assert config.state_dir.is_absolute()
    assert config.state_dir.name == "hookfarm"


def test_later_sources_win(toml: Write) -> None:
    file = toml("workers = 2\nprocessors = 2\ngrace_seconds = 2\n")
    variables = {"HOOKFARM_PROCESSORS": "3", "HOOKFARM_GRACE_SECONDS": "3"}
    config = load({"grace_seconds": "4", "workers": None, "chains": ()}, variables, file)
    assert (config.workers, config.processors, config.grace_seconds) == (2, 3, 4.0)


def test_an_empty_variable_was_not_given(toml: Write) -> None:
    assert load({}, {"HOOKFARM_WORKERS": ""}, toml("workers = 7")).workers == 7


def test_variables_of_others_are_ignored() -> None:
    assert load({}, {"HOOKFARM_UNKNOWN": "1", "WORKERS": "3"}).workers == 50


def test_every_setting_has_its_variable() -> None:
    good = {
        "redis_url": "redis://h/0", "workers": "3", "processors": "3", "ingestors": "3",
        "concurrency": "3", "max_in_flight": "3", "chains": "5=ws://n", "required_chains": "5", "from_block": "3",
        "api": "h:3", "api_token": "x" * 16, "api_hosts": "h",
        "state_dir": "/d", "allow_private": "10.0.0.0/8", "ca_file": __file__, "master_key": f"a:{'A' * 43}=",
        "retry_schedule": "3s", "disable_after": "3d", "delivery_log_attempts": "3",
        "delivery_log_bytes": "3000000", "delivery_log_age": "3d",
        "grace_seconds": "3", "log_level": "error", "log_format": "json", "log_attempts": "all",
        "otel_endpoint": "http://h:4318", "otel_sample_ratio": "0.5",
    }  # fmt: skip
    assert set(good) == {setting.name for setting in SETTINGS}
    by_variable = load({}, {f"HOOKFARM_{name.upper()}": value for name, value in good.items()})
    assert by_variable == load(good, {})
    assert all(getattr(by_variable, name) != getattr(load({}, {}), name) for name in good)


def test_the_environment_of_the_process_is_read_where_none_is_given() -> None:
    assert load() == load(environment=os.environ)


def test_a_setting_that_does_not_exist_is_refused_with_those_that_do(toml: Write) -> None:
    file = toml("worker = 3")
    with pytest.raises(InvalidInput) as caught:
        load({}, {}, file)
    assert str(caught.value).startswith(f"worker: unknown setting in {file}; known: allow_private, api, ")
    assert caught.value.exit_code == 2


def test_a_file_that_is_not_toml_is_refused(toml: Write) -> None:
    with pytest.raises(InvalidInput, match=r"^config: .*hookfarm\.toml is not TOML: "):
        load({}, {}, toml("workers: 3"))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "hookfarm.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(InvalidInput, match="is not TOML"):
        load({}, {}, file)


@pytest.mark.parametrize("place", ["missing.toml", "."])
def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, place: str) -> None:
    with pytest.raises(InvalidInput, match=r"^config: cannot read .*: (No such file|Is a directory)"):
        load({}, {}, tmp_path / place)


def test_the_message_names_the_source_the_value_and_what_is_allowed(toml: Write) -> None:
    allowed = f"'none' is not a whole number from 1 to {MAX_WORKERS}"
    for source, arguments in {
        "workers": ({"workers": "none"}, {}, None),
        "HOOKFARM_WORKERS": ({}, {"HOOKFARM_WORKERS": "none"}, None),
        "workers ": ({}, {}, toml("workers = 'none'")),
    }.items():
        with pytest.raises(InvalidInput) as caught:
            load(*arguments)
        assert str(caught.value) == f"{source.strip()}: {allowed}"
        assert caught.value.exit_code == 2


@pytest.mark.parametrize("name", [setting.name for setting in SETTINGS])
@pytest.mark.parametrize("value", ["", "\0", "~no-such-user/x"])
def test_a_wrong_value_of_any_setting_is_refused_in_one_line_or_taken(name: str, value: str) -> None:
    with contextlib.suppress(InvalidInput):
        option(name, value)
        return
    error = refusal(name, value)
    assert error.field == name.replace("_", "-")
    assert "\n" not in str(error)


# Numbers


@pytest.mark.parametrize(("given", "meant"), [("1", 1), (" 7 ", 7), (7, 7), (str(MAX_WORKERS), MAX_WORKERS)])
def test_a_number_of_workers(given: Any, meant: int) -> None:
    assert option("workers", given).workers == meant


@pytest.mark.parametrize("given", ["0", "-1", str(MAX_WORKERS + 1), "9" * 18])
def test_a_number_out_of_range_is_refused(given: str) -> None:
    assert str(refusal("workers", given)) == f"workers: {given!r} is out of range; allowed are 1 to {MAX_WORKERS}"


@pytest.mark.parametrize("given", ["", "1.5", "1e3", "0x10", "٣", "1_000", True, 2.0, "9" * 19, None, [3]])
def test_what_is_no_whole_number_is_refused(given: Any) -> None:
    if given is not None:
        assert "is not a whole number from 1 to" in str(refusal("workers", given))


@pytest.mark.parametrize(
    ("given", "seconds"), [("250ms", 0.25), ("5", 5), ("5s", 5), ("2 m", 120), ("10h", 36000), (1.5, 1.5), (0, 0)]
)
def test_a_duration(given: Any, seconds: float) -> None:
    assert option("grace_seconds", given).grace_seconds == seconds


@pytest.mark.parametrize("given", ["", "-1", "5 weeks", "1e3", "inf", "nan", True, "s", ".5", "1.s"])
def test_what_is_no_duration_is_refused(given: Any) -> None:
    expected = f"grace-seconds: {given!r} is not a duration; write 250ms, 5s, 2m, 10h or 7d"
    assert str(refusal("grace_seconds", given)) == expected


@pytest.mark.parametrize("given", ["5s,2m", ["5s", "2m"], [5, 120], "5s, 2m,"])
def test_a_retry_schedule(given: Any) -> None:
    assert option("retry_schedule", given).retry_schedule == (5.0, 120.0)


def test_an_empty_retry_schedule_means_no_retries() -> None:
    assert option("retry_schedule", []).retry_schedule == ()


def test_a_wrong_wait_in_a_schedule_is_named() -> None:
    assert "'soon' is not a duration" in str(refusal("retry_schedule", "5s,soon"))


# Addresses


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("127.0.0.1:8400", Address("127.0.0.1", 8400)),
        ("localhost:0", Address("localhost", 0)),
        ("[::1]:80", Address("::1", 80)),
        ("0.0.0.0:65535", Address("0.0.0.0", 65535)),
    ],
)
def test_an_address_is_read_and_written_the_same(given: str, meant: Address) -> None:
    assert option("api", given).api == meant
    assert str(meant) == given


@pytest.mark.parametrize("given", ["", "8400", ":8400", "host:", "host:http", "host:65536", "host:-1", "host:٣"])
def test_what_is_no_address_is_refused(given: str) -> None:
    assert str(refusal("api", given)) == f"api: {given!r} is not HOST:PORT, for example 127.0.0.1:8400"


def test_private_ranges() -> None:
    meant = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert option("allow_private", "127.0.0.1/8, ::1").allow_private == meant
    assert option("allow_private", ["127.0.0.0/8", "::1"]).allow_private == meant


def test_what_is_no_range_is_refused() -> None:
    expected = "allow-private: 'lan' is not an address range; write 127.0.0.0/8,::1/128"
    assert str(refusal("allow_private", "10.0.0.0/8,lan")) == expected


# Redis


@pytest.mark.parametrize(
    "url",
    [
        "redis://h",
        "redis://:pw@h:6379/0",
        "rediss://u:pw@h/1",
        "unix:///run/redis.sock?db=1",
        "redis://[::1]:1",
        "rediss://h/1?ssl_ca_certs=/ca.pem&db=1&client_name=farm",
    ],
)
def test_a_redis_url_is_taken_as_it_is(url: str) -> None:
    assert option("redis_url", url).redis_url == url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("", "://"),
        ("redis://", "redis://"),
        ("http://u:canary@h/path?canary", "http://h/path"),
        ("unix://", "unix://"),
        ("redis://h:port", "redis://h:…"),
        ("redis://h?no_such_option=canary", "redis://h"),
        ("redis://h?socket_timeout=1", "redis://h"),
        ("redis://h?db=one", "redis://h"),
        ("redis://h?ssl_ca_certs=/ca.pem", "redis://h"),
        ("redis://h:99999", "redis://h:99999"),
        (":canary@h:6379", "://h:6379"),
        ("user:canary@h:6379", "user://h:6379"),
        ("redis://[::1", "(unreadable URL)"),
    ],
)
def test_what_is_no_redis_url_is_refused_without_showing_a_secret(url: str, shown: str) -> None:
    allowed = "allowed are redis://HOST:PORT/DB, rediss://HOST:PORT/DB and unix:///PATH?db=DB"
    assert str(refusal("redis_url", url)) == f"redis-url: {shown!r} is not a Redis URL; {allowed}"


# Chains

TWO_CHAINS = (ChainConfig(1, ("wss://a/k", "https://b")), ChainConfig(31337, ("ws://127.0.0.1:8545",)))


@pytest.mark.parametrize(
    "given",
    [
        ("1=wss://a/k,https://b", "31337=ws://127.0.0.1:8545"),
        "1=wss://a/k,https://b 31337=ws://127.0.0.1:8545",
        {"1": ["wss://a/k", "https://b"], "31337": "ws://127.0.0.1:8545"},
    ],
    ids=["options", "variable", "table"],
)
def test_chains_with_their_nodes(given: Any) -> None:
    assert option("chains", given).chains == TWO_CHAINS


def test_chains_as_a_toml_table(toml: Write) -> None:
    file = toml('[chains]\n1 = ["wss://a/k", "https://b"]\n31337 = "ws://127.0.0.1:8545"\n')
    assert load({}, {}, file).chains == TWO_CHAINS


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("wss://u:canary@node.example/canary", "'wss://node.example' is not ID=URL[,URL…]"),
        ("0=ws://n", "'0=ws://n' is not ID=URL[,URL…]"),
        ("0x1=ws://n", "'0x1=ws://n' is not ID=URL[,URL…]"),
        ("one=ws://n/canary", "'one=ws://n' is not ID=URL[,URL…]"),
        ("n.example/canary", "'n.example' is not ID=URL[,URL…]"),
        ("1=ws://n/a;Canary7=canary/b;c", "chain 1: unknown text after a semicolon"),
        ("1=ws://h:canary/", "'ws://h:…' is not a node's URL"),
        ("1=", "'://' is not a node's URL; it must begin with ws://, wss://, http:// or https://"),
        ("1=ftp://u:canary@n/canary", "'ftp://n' is not a node's URL"),
        ("1=ws://a,", "'://' is not a node's URL"),
        ("1=ws://", "'ws://' is not a node's URL"),
        ("1=ws://h:port/canary", "'ws://h:…' is not a node's URL"),
        ("1=ws://a 1=ws://b/canary", "chain 1 is given twice; put its URLs into one"),
    ],
)
def test_what_is_no_chain_is_refused_without_showing_a_secret(given: str, problem: str) -> None:
    message = str(refusal("chains", given))
    assert message.startswith(f"chains: {problem}")
    assert "canary" not in message


# Files and words


def test_a_relative_state_directory_is_made_absolute() -> None:
    assert option("state_dir", "here").state_dir == Path.cwd() / "here"
    assert option("state_dir", "~/here").state_dir == Path.home() / "here"


@pytest.mark.parametrize("given", ["", "  ", "a\0b", 5, True])
def test_what_is_no_path_is_refused(given: Any) -> None:
    assert str(refusal("state_dir", given)) == f"state-dir: {given!r} is not a path"


def test_the_home_of_an_unknown_user_is_refused() -> None:
    expected = "state-dir: '~no-such-user/x' is in the home directory of an unknown user"
    assert str(refusal("state_dir", "~no-such-user/x")) == expected


def test_certificates_must_be_a_file(tmp_path: Path) -> None:
    assert str(refusal("ca_file", str(tmp_path))) == f"ca-file: {str(tmp_path)!r} is not a file"
    assert option("ca_file", __file__).ca_file == Path(__file__)


def test_words_are_taken_in_any_case_and_others_refused() -> None:
    assert option("log_level", "WARNING").log_level == "warning"
    expected = "log-level: 'loud' is not allowed; allowed are debug, info, warning, error"
    assert str(refusal("log_level", "loud")) == expected


def test_the_secrets_of_all_settings_are_known_together() -> None:
    key = base64.b64encode(b"k" * 32).decode()
    given = config.load(
        {
            "redis_url": "rediss://user:redis-password@h/0",
            "chains": "1=wss://n/v3/3f0c5d1e9a7b,https://u:rpc-password@n/",
            "api_token": "the-token-of-the-api",
            "master_key": f"first:{key}",
            "otel_endpoint": "http://u:otel-password@collector",
        },
        environment={},
    )
    headers = {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20abcdefgh,x-key=ijklmnop"}
    found = set(config.secrets(given, headers))
    wanted = {"redis-password", "3f0c5d1e9a7b", "rpc-password", "the-token-of-the-api", key, "otel-password"}
    assert wanted | {"abcdefgh", "ijklmnop", "Bearer%20abcdefgh"} <= found
    assert not {"h", "n", "user", "collector", "v3"} & found
