"""A node, and the answers of its JSON-RPC without a transport."""

import asyncio
import json
from typing import Any

from hookfarm.devchain.chain import DevchainOptions
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc import answer, parse_message
from hookfarm.devchain.serializers import logs_json

UNKNOWN = "0x" + "11" * 32
TOPIC = "0x" + "ab" * 32


def node_of(blocks: int = 3, **options: int) -> DevNode:
    defaults = {"logs_per_block": 2, "safe_distance": 1, "finalized_distance": 2}
    node = DevNode(DevchainOptions(**(defaults | options)))  # type: ignore[arg-type]
    if blocks:
        node.mine(blocks)
    return node


def send(node: DevNode, content: object) -> Any:
    message = parse_message(json.dumps(content))
    return asyncio.run(answer(node, message, None))


def call(node: DevNode, method: str, *params: Any) -> Any:
    """The result, or the error's (code, message)."""
    response = send(node, {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)})
    if "error" in response:
        return response["error"]["code"], response["error"]["message"]
    return response["result"]


def hash_of(node: DevNode, number: int) -> str:
    block = node.chain.block(number)
    assert block is not None
    return block.hash


def logs_of(node: DevNode, *numbers: int) -> list[dict[str, Any]]:
    blocks = [node.chain.block(number) for number in numbers]
    return [log for block in blocks if block for log in logs_json(block)]
