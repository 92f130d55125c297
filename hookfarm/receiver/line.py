"""One arrival as one line, for people and for programs.

What a stranger sent never reaches the terminal as it is: control characters are replaced, long values cut.
"""

import time
from typing import Any

import orjson

from hookfarm.receiver.arrival import Arrival

LONGEST_VALUE = 100
LONGEST_ARGUMENTS = 400
_LONGEST_ATTEMPT = 9
_SHORT_ID = 16
_OF_A_TRANSFER = ("from", "to", "value")


def fields(arrival: Arrival) -> dict[str, Any]:
    """What `--json` prints: `verified` is null where there was no secret to verify with."""
    verified = {"verified": True, "NOT verified": False}.get(arrival.verdict.judgement.value)
    return {
        "time": _iso(arrival.at),
        "verified": verified,
        "reason": arrival.verdict.reason or None,
        "webhook_id": arrival.webhook_id,
        "attempt": _attempt(arrival.attempt),
        "body": _body(arrival),
    }


def words(arrival: Arrival) -> tuple[str, str, str]:
    """The line in three parts: time, judgement, and all the rest."""
    judgement, reason = arrival.verdict.judgement.value, arrival.verdict.reason
    rest = [
        _short(arrival.webhook_id) or "no webhook-id",
        f"#{_plain(arrival.attempt) or '?'}",
        *_content(arrival),
    ]
    return _clock(arrival.at), judgement, "  ".join(rest) + (f"  ({reason})" if reason else "")


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03d}"


def _attempt(text: str) -> int | None:
    """A number, None where it is none or of more digits than there will ever be attempts."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _LONGEST_ATTEMPT else None


def event(arrival: Arrival) -> str:
    """When it came, and what of: the shortest form."""
    return "  ".join([_clock(arrival.at), *_content(arrival)[1:]])


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def _body(arrival: Arrival) -> Any:
    try:
        return orjson.loads(arrival.body)
    except orjson.JSONDecodeError:
        return arrival.body.decode("utf-8", "replace")


def _content(arrival: Arrival) -> list[str]:
    """Type, event name and arguments, or what a transfer is about, as far as the body has them."""
    body = _body(arrival)
    if not isinstance(body, dict):
        return [f"not a JSON object, {len(arrival.body)} bytes"]
    data = body.get("data")
    if isinstance(data, dict) and data.get("kind") == "transfer":
        return [_plain(body.get("type", "no type")), _arguments({name: data.get(name) for name in _OF_A_TRANSFER})]
    event = data.get("event") if isinstance(data, dict) else None
    if not isinstance(event, dict):
        return [_plain(body.get("type", "no type"))]
    return [
        _plain(body.get("type", "no type")),
        _plain(event.get("name", "no name")),
        _arguments(event.get("args")),
    ]


def _arguments(named: object) -> str:
    shown = named.items() if isinstance(named, dict) else ()
    return _cut(" ".join(f"{_plain(name)}={_plain(value)}" for name, value in shown), LONGEST_ARGUMENTS)


def _short(webhook_id: str) -> str:
    return _cut(_plain(webhook_id), _SHORT_ID)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _plain(value: object) -> str:
    """A value as text in one word or a few; hexadecimal is shortened in its middle."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: 2 * LONGEST_VALUE])
    if text.startswith("0x") and len(text) > 14:
        return f"{text[:6]}…{text[-4:]}"
    return _cut(text, LONGEST_VALUE)
