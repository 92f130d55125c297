"""JSON-RPC answers and foreign exceptions -> results and ChainUnavailable, for both transports."""

from typing import Any

from web3.exceptions import Web3Exception

from hookfarm.errors import ChainUnavailable
from hookfarm.redaction import origin, text


def result_of(url: str, method: str, answer: Any) -> Any:
    """The result in an answer; an error object is a ChainUnavailable with its code and message."""
    where = f"{origin(url)}: {method}"
    if not isinstance(answer, dict):
        raise ChainUnavailable(f"{where}: no JSON-RPC answer")
    error = answer.get("error")
    if isinstance(error, dict):
        message = text(" ".join(str(error.get("message")).split())[:200])
        raise ChainUnavailable(f"{where}: {error.get('code')} {message}")
    if error is not None or "result" not in answer:
        raise ChainUnavailable(f"{where}: no JSON-RPC answer")
    return answer["result"]


def unavailable(url: str, error: BaseException) -> ChainUnavailable:
    """What any exception of a transport becomes; names the URL's origin only. Raise it `from error`."""
    if isinstance(error, Web3Exception) and error.__cause__ is not None:
        error = error.__cause__
    reason = "no answer in time" if isinstance(error, TimeoutError) else text(str(error))
    return ChainUnavailable(f"{origin(url)}: {reason or type(error).__name__}")
