"""Deploy a small contract on a local node and make it emit Transfer events. Needs no packages.

python contract.py deploy
python contract.py transfer CONTRACT VALUE
"""

import json
import os
import sys
import time
import urllib.request
from typing import Any

NODE = os.environ.get("NODE", "http://127.0.0.1:8545")
RECIPIENT = "70997970c51812dc3a010c7d01b50e0d17dc79c8"
RUNTIME = (
    "60206024600037"  # Copy the second argument of the call, the value, to memory.
    "60043533"  # Push the first argument, the recipient, and the caller.
    "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"  # Transfer(address,address,uint256)
    "60206000a3"  # LOG3: emit Transfer(caller, recipient, value).
    "600160005260206000f3"  # Return true.
)
"""Bytecode that takes each call for transfer(address to, uint256 value). It keeps no balances."""
CREATION = f"60{len(RUNTIME) // 2:02x}80600b6000396000f3{RUNTIME}"
"""Returns RUNTIME as the code of the new contract."""


def call(method: str, *params: object) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).encode()
    request = urllib.request.Request(NODE, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.load(response)
    if "error" in answer:
        sys.exit(f"{method}: {answer['error']['message']}")
    return answer["result"]


def send(**transaction: str) -> dict[str, Any]:
    """Send from the node's first unlocked account; return the receipt."""
    sender = call("eth_accounts")[0]
    transaction_hash = call("eth_sendTransaction", {"from": sender, "gas": hex(500_000), **transaction})
    while not (receipt := call("eth_getTransactionReceipt", transaction_hash)):
        time.sleep(0.1)
    found: dict[str, Any] = receipt
    return found


match sys.argv[1:]:
    case ["deploy"]:
        print(send(data=f"0x{CREATION}")["contractAddress"])
    case ["transfer", contract, value]:
        data = f"0xa9059cbb{RECIPIENT:0>64}{int(value):064x}"  # transfer(address,uint256)
        print(send(to=contract, data=data)["transactionHash"])
    case _:
        sys.exit("usage: contract.py deploy | transfer CONTRACT VALUE")
