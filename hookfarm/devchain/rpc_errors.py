"""Errors of JSON-RPC 2.0 (section 5.1), geth's additions, and refusals of `eth_getLogs` by providers.

Each provider has its own message and code. `{first}` and `{last}` are the requested range; some providers suggest
exactly that range. 413 comes from a gateway: over HTTP it is a status without JSON.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hookfarm.devchain.encoding import to_quantity

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
PRUNED_HISTORY = 4444
NULL_ROUND = 12
"""Filecoin: no block has this number."""


class RpcError(Exception):
    """A JSON-RPC error for the client."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def response(self, request_id: Any) -> dict[str, Any]:
        error = {"code": self.code, "message": self.message}
        return {"jsonrpc": "2.0", "id": request_id, "error": error}


def invalid_params(message: str) -> RpcError:
    return RpcError(INVALID_PARAMS, message)


def invalid_argument(position: int, problem: object) -> RpcError:
    """Return geth's error for an invalid argument; positions count from 0."""
    return RpcError(INVALID_PARAMS, f"invalid argument {position}: {problem}")


TOO_LARGE = 413

PROVIDER_ERRORS: Mapping[str, tuple[int, str]] = MappingProxyType(
    {
        "infura": (-32005, "query returned more than 10000 results. Try with this block range [{first}, {last}]."),
        "alchemy": (
            -32602,
            "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no "
            "limit on the response size, or you can request any block range with a cap of 10K logs in the "
            "response. Based on your parameters, this block range should work: [{first}, {last}]",
        ),
        "quicknode": (-32614, "eth_getLogs is limited to a 10,000 range"),
        "ankr": (-32600, "block range is too wide"),
        "drpc": (35, "ranges over 10000 blocks are not supported on freetier"),
        "erigon": (-32000, "query timed out"),
        "gateway": (TOO_LARGE, "Request Entity Too Large"),
    }
)


def range_error(provider: str, code: int, message: str, first: int, last: int) -> RpcError:
    """Return the error for a range: the provider's if known, else this code and message."""
    code, message = PROVIDER_ERRORS.get(provider, (code, message))
    return RpcError(code, message.format(first=to_quantity(first), last=to_quantity(last)))
