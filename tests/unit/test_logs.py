"""Log lines: one per edge, searchable, harmless."""

import io
import json
import logging
import re
import threading

import pytest

from hookfarm import logs
from hookfarm.security import redaction
from tests.support.root_logger import root_as_it_was as root_as_it_was

CANARIES = (
    "whsec_canary",
    "Bearer canary",
    "redis://user:canary@redis.example:6379/0",
    "wss://node.example/v2/canary",
    "https://hooks.example/path?token=canary",
)


def written(form: str = "text", level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    logs.configure(level, form, stream)
    return stream


def test_a_line_says_when_who_what_and_the_fields() -> None:
    stream = written()
    logs.get("webhook_delivery").info("ready", workers=50, host="a b")
    when, rest = stream.getvalue().split(" ", 1)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", when)
    assert rest == 'info webhook_delivery ready workers=50 host="a b"\n'


def test_a_json_line_says_the_same() -> None:
    stream = written("json")
    logs.get("webhook_delivery").warning("slow", ms=5, of={"a": [1, None, True, 1.5]})
    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("Z")
    expected = {"level": "warning", "logger": "webhook_delivery", "action": "slow"}
    assert line == {**expected, "ms": 5, "of": {"a": [1, None, True, 1.5]}}


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("line\nbreak", r'"line\nbreak"'),
        ("back\rwards", r'"back\rwards"'),
        ("\x1b[2J", r'"\u001b[2J"'),
        ("\x9b2J", r'"\u009b2J"'),
        ("a\u2028b", r'"a\u2028b"'),
        ("größe", "größe"),
        ("\udcff", r'"\udcff"'),
        (None, "None"),
    ],
)
def test_a_value_is_one_word_on_one_line_whatever_is_in_it(value: object, shown: str) -> None:
    stream = written()
    logs.get("s").info("a", v=value)
    assert stream.getvalue().endswith(f" info s a v={shown}\n")


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize("secret", CANARIES)
def test_no_secret_is_written_whoever_writes_it(form: str, secret: str) -> None:
    stream = written(form)
    log = logs.get("service")
    log.info(
        f"action {secret}", field=secret, quoted=f'"{secret}"', nested={"deep": [secret]}, error=ValueError(secret)
    )
    logging.getLogger("somebody.else").warning("with %s", secret)
    try:
        raise ValueError(secret)
    except ValueError:
        log.exception("failed")
    assert "canary" not in stream.getvalue().replace(__file__, "")
    assert stream.getvalue().count("\n") >= 3


def test_json_stays_json_whatever_is_blanked() -> None:
    stream = written("json")
    logs.get("s").info("a", e="got \"https://a/canary\" and 'wss://b/canary'\\", n="https://a/canary\nnext")
    line = json.loads(stream.getvalue())
    assert line["e"] == "got \"https://a\" and 'wss://b'\\"
    assert line["n"] == "https://a\nnext"


def test_what_is_below_the_level_is_not_written() -> None:
    stream = written(level="warning")
    log = logs.get("s")
    log.debug("no")
    log.info("no")
    log.warning("yes")
    log.error("yes")
    assert stream.getvalue().count("yes") == 2
    assert "no" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_is_written_with_its_traceback(form: str) -> None:
    stream = written(form)
    try:
        raise ZeroDivisionError("why")
    except ZeroDivisionError:
        logs.get("s").exception("failed", of="x")
    assert "ZeroDivisionError: why" in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_libraries_speak_only_of_trouble() -> None:
    stream = written(level="debug")
    logging.getLogger("urllib3.connectionpool").info("chatter")
    logging.getLogger("uvicorn.error").warning("trouble")
    assert "chatter" not in stream.getvalue()
    assert "trouble" in stream.getvalue()


def test_configuring_again_replaces_the_handler() -> None:
    first, second = written(), written()
    logs.get("s").info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


@pytest.mark.parametrize("form", ["text", "json"])
def test_a_thread_that_crashes_is_written_like_everything_else(form: str) -> None:
    stream = written(form)

    def crash() -> None:
        raise ValueError(" ".join(CANARIES))

    thread = threading.Thread(target=crash)
    thread.start()
    thread.join()
    assert "thread crashed" in stream.getvalue()
    assert "ValueError" in stream.getvalue()
    assert not any(secret in stream.getvalue() for secret in CANARIES)


def test_what_is_known_to_be_a_secret_is_written_nowhere() -> None:
    redaction.register_secrets(["sesame-4711-open"])
    stream = written("text")
    logs.get("service").info("asked", error=ValueError("no project sesame-4711-open"))
    assert 'error="no project [redacted]"' in stream.getvalue()
