"""The errors of JSON-RPC 2.0 (section 5.1) and those that geth adds to them."""

from typing import Any

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
PRUNED_HISTORY = 4444


class RpcError(Exception):
    """Answered to the client as it is."""

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
    """In geth's words; positions count from 0."""
    return RpcError(INVALID_PARAMS, f"invalid argument {position}: {problem}")
