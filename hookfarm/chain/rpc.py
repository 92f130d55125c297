"""Conversion of JSON-RPC responses and library exceptions to results and ChainUnavailable."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import orjson
from web3.exceptions import Web3Exception

from hookfarm.backoff import parse_retry_after
from hookfarm.errors import ChainUnavailable
from hookfarm.security.redaction import origin, sanitize, secrets_of_url

MAX_RETRY_AFTER_SECONDS = 3600.0
TOO_MANY_REQUESTS = 429

Call = tuple[str, list[Any]]
"""A method and its parameters."""

_RATE_CODES = (429, -32029, -32090, -32097)
_RATE_WORDS = re.compile(
    r"rate.?limit|too many requests|request limit|requests? per (second|minute|day)|compute units per second"
    r"|/second|capacity (exceeded|limit)|daily request count",
    re.IGNORECASE,
)
"""Rate-limit messages of Infura, Alchemy, QuickNode, Ankr and others. Their codes differ, and some use -32005 also
for a range that is too long."""


class Refused(ChainUnavailable):
    """The node returned an error; a different or smaller request may succeed."""


class RateLimited(ChainUnavailable):
    """The node is over its rate limit, for `retry_after_seconds` (None = unknown)."""

    def __init__(self, message: str, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BudgetUsed(RateLimited):
    """The node's monthly budget is used up; no call was sent."""


class NoResponse(ChainUnavailable):
    """The node did not respond in time; it may be unable to respond to this request."""


class Unanswered(ChainUnavailable):
    """The node's response to a batch lacks this call, or the node refused the batch."""


class Incomplete(ChainUnavailable):
    """The logs of a block are not proven to be complete."""


class Doubtful(Incomplete):
    """No source of the node proves the logs of a block.

    `logs`: the number that one of them gives; None = no source gives any, so there is nothing to accept.
    """

    def __init__(self, message: str, number: int, block_hash: str, logs: int | None) -> None:
        super().__init__(message)
        self.number = number
        self.block_hash = block_hash
        self.logs = logs


def failure_kind(error: ChainUnavailable) -> str:
    """Return the kind of a failure, one of FAILURE_KINDS."""
    if isinstance(error, RateLimited):
        return "rate_limited"
    return "refused" if isinstance(error, Refused) else "unavailable"


def result_of(url: str, method: str, answer: Any) -> Any:
    """Return the result in a response. Raises Refused or RateLimited with the error's code and message."""
    where = f"{origin(url)}: {method}"
    if not isinstance(answer, dict):
        raise ChainUnavailable(f"{where}: not a JSON-RPC response")
    error = answer.get("error")
    if isinstance(error, dict):
        raise _refusal(url, where, error)
    if error is not None or "result" not in answer:
        raise ChainUnavailable(f"{where}: not a JSON-RPC response")
    return answer["result"]


def results_of(url: str, requests: Sequence[Mapping[str, Any]], answers: Any) -> list[Any]:
    """Return the result of each request of a batch in order, a ChainUnavailable as a value.

    A request without a response is Unanswered. Raises Refused if the node refused the whole batch.
    """
    if not isinstance(answers, list):
        result_of(url, "batch", answers)
        raise Refused(f"{origin(url)}: batch: the response is not a list")
    by_id = {answer.get("id"): answer for answer in answers if isinstance(answer, dict)}
    if None in by_id and len(answers) == 1:
        result_of(url, "batch", answers[0])
    return [_value(url, str(request["method"]), by_id.get(request["id"], _MISSING)) for request in requests]


def http_answer(url: str, status: int, retry_after: str | None, body: bytes) -> Any:
    """Return the JSON-RPC message in an HTTP response, whatever its status. Raises ChainUnavailable."""
    if status == TOO_MANY_REQUESTS:
        raise RateLimited(f"{origin(url)}: HTTP 429", retry_after_seconds(retry_after))
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        content = None
        if status < 400:
            raise ChainUnavailable(f"{origin(url)}: the response is not JSON") from error
    if status >= 400 and not (isinstance(content, dict) and isinstance(content.get("error"), dict)):
        kind = Refused if status < 500 else ChainUnavailable
        raise kind(f"{origin(url)}: HTTP {status}")
    return content


def retry_after_seconds(header: str | None, now: datetime | None = None) -> float | None:
    """Parse a Retry-After header to seconds; None if it is missing or invalid."""
    at = (now or datetime.now(UTC)).timestamp()
    return None if header is None else parse_retry_after(header, at, MAX_RETRY_AFTER_SECONDS)


def unavailable(url: str, error: BaseException) -> ChainUnavailable:
    """Convert an exception of a transport. The message contains only the URL's origin. Raise it `from error`."""
    if isinstance(error, ChainUnavailable):
        return error
    if isinstance(error, Web3Exception) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, TimeoutError):
        return NoResponse(f"{origin(url)}: no answer in time")
    reason = sanitize(str(error), secrets_of_url(url))
    return ChainUnavailable(f"{origin(url)}: {reason or type(error).__name__}")


_MISSING = object()


def _value(url: str, method: str, answer: Any) -> Any:
    if answer is _MISSING:
        return Unanswered(f"{origin(url)}: {method}: no response in the batch")
    try:
        return result_of(url, method, answer)
    except ChainUnavailable as error:
        return error


def _refusal(url: str, where: str, error: Mapping[str, Any]) -> ChainUnavailable:
    code, detail = sanitize(str(error.get("code")))[:40], " ".join(str(error.get("message")).split())
    # Sanitized before it is cut: a cut secret would no longer be recognised.
    message = f"{where}: {code} {sanitize(detail, secrets_of_url(url))[:200]}"
    if error.get("code") in _RATE_CODES or _RATE_WORDS.search(detail):
        return RateLimited(message, _backoff(error.get("data")))
    return Refused(message)


def _backoff(data: Any) -> float | None:
    """Return the seconds in Infura's `{"rate": {"backoff_seconds": 30}}`; None if they are missing."""
    rate = data.get("rate") if isinstance(data, dict) else None
    seconds = rate.get("backoff_seconds") if isinstance(rate, dict) else None
    return min(float(seconds), MAX_RETRY_AFTER_SECONDS) if isinstance(seconds, int | float) else None
