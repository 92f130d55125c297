"""Reports of received webhooks: counted, printed, and sent to another process.

Text from a sender is made safe for the terminal: control characters are replaced, long values cut.
"""

import time
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import orjson

from hookfarm.receiver.verification import Verification, VerificationStatus

REMEMBERED_IDS = 100_000
"""Max webhook-ids kept to detect repetitions: 15 MB, one hour at 30 webhooks a second."""
UNREADABLE = "unreadable"
"""The `log` of a report for a body without a log or transfer."""
MAX_VALUE_LENGTH = 100
MAX_ARGUMENTS_LENGTH = 400
_MAX_ATTEMPT_DIGITS = 9
_SHORT_ID = 16
_TRANSFER_FIELDS = ("from", "to", "value")


@dataclass(frozen=True, slots=True)
class ReceivedWebhook:
    """A received webhook. `at` is Unix time; header values are as received, empty if missing."""

    at: float
    webhook_id: str
    attempt: str
    verification: Verification
    body: bytes


@dataclass
class ReceiverCounts:
    """Counters of received webhooks. `repeated`: their id is among the last REMEMBERED_IDS."""

    received: int = 0
    repeated: int = 0
    by_status: dict[VerificationStatus, int] = field(default_factory=lambda: dict.fromkeys(VerificationStatus, 0))
    _seen: "OrderedDict[str, None]" = field(default_factory=OrderedDict)

    def count(self, webhook: ReceivedWebhook) -> None:
        self.received += 1
        self.by_status[webhook.verification.status] += 1
        if webhook.verification.status is VerificationStatus.NOT_VERIFIED:
            return  # Its id is untrusted.
        if webhook.webhook_id in self._seen:
            self.repeated += 1
            self._seen.move_to_end(webhook.webhook_id)
            return
        self._seen[webhook.webhook_id] = None
        if len(self._seen) > REMEMBERED_IDS:
            self._seen.popitem(last=False)


@dataclass(frozen=True, slots=True)
class WebhookReport:
    """A verified webhook as one line, for another process.

    `log` is `<block hash>:<log index>`, `<block hash>:t<index>` for a transfer, from the webhook's body. `text` is
    for people, or empty.
    """

    log: str
    webhook_id: str
    text: str

    @classmethod
    def of(cls, webhook: ReceivedWebhook, *, with_text: bool) -> "WebhookReport":
        """Return the report of a webhook; `with_text` doubles the cost of receiving it."""
        return cls(_log_id(webhook.body), webhook.webhook_id, short_text(webhook) if with_text else "")

    @classmethod
    def parse(cls, line: str) -> "WebhookReport":
        """Parse the result of `line` without its line feed."""
        log, webhook_id, text = line.split(" ", 2)
        return cls(log, webhook_id, text)

    def line(self) -> bytes:
        return f"{self.log} {self.webhook_id} {self.text}\n".encode()


def _log_id(body: bytes) -> str:
    try:
        data = orjson.loads(body)["data"]
        index = f"t{data['transaction_index']}" if data.get("kind") == "transfer" else data["log_index"]
        return f"{data['block_hash']}:{index}"
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        return UNREADABLE


def as_json(webhook: ReceivedWebhook) -> dict[str, Any]:
    """Return the record that `listen --json` prints; `verified` is null without a secret."""
    verified = {"verified": True, "NOT verified": False}.get(webhook.verification.status.value)
    return {
        "time": _iso(webhook.at),
        "verified": verified,
        "reason": webhook.verification.reason or None,
        "webhook_id": webhook.webhook_id,
        "attempt": _attempt(webhook.attempt),
        "body": _body(webhook),
    }


def text_parts(webhook: ReceivedWebhook) -> tuple[str, str, str]:
    """Return the line that `listen` prints in three parts: time, verification, and the rest."""
    status, reason = webhook.verification.status.value, webhook.verification.reason
    rest = [
        _short(webhook.webhook_id) or "no webhook-id",
        f"#{_plain(webhook.attempt) or '?'}",
        *_content(webhook),
    ]
    return _clock(webhook.at), status, "  ".join(rest) + (f"  ({reason})" if reason else "")


def short_text(webhook: ReceivedWebhook) -> str:
    """Return time and content, the shortest form."""
    return "  ".join([_clock(webhook.at), *_content(webhook)[1:]])


def _clock(at: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(at)) + f".{int(at % 1 * 1000):03d}"


def _attempt(text: str) -> int | None:
    """Return the number of an attempt; None if it is invalid or too long."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_ATTEMPT_DIGITS else None


def _iso(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at)) + f".{int(at % 1 * 1000):03d}Z"


def _body(webhook: ReceivedWebhook) -> Any:
    try:
        return orjson.loads(webhook.body)
    except orjson.JSONDecodeError:
        return webhook.body.decode("utf-8", "replace")


def _content(webhook: ReceivedWebhook) -> list[str]:
    """Return type, event name and arguments, or a transfer's fields, as far as the body has them."""
    body = _body(webhook)
    if not isinstance(body, dict):
        return [f"not a JSON object, {len(webhook.body)} bytes"]
    data = body.get("data")
    if isinstance(data, dict) and data.get("kind") == "transfer":
        return [
            _plain(body.get("type", "no type")),
            _arguments({name: data.get(name) for name in _TRANSFER_FIELDS}),
        ]
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
    return _cut(" ".join(f"{_plain(name)}={_plain(value)}" for name, value in shown), MAX_ARGUMENTS_LENGTH)


def _short(webhook_id: str) -> str:
    return _cut(_plain(webhook_id), _SHORT_ID)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[:length] + "…"


def _plain(value: object) -> str:
    """Return a value as short text; hexadecimal is shortened in the middle."""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[: 2 * MAX_VALUE_LENGTH])
    if text.startswith("0x") and len(text) > 14:
        return f"{text[:6]}…{text[-4:]}"
    return _cut(text, MAX_VALUE_LENGTH)
