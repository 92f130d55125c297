"""Expected transfers in the stream."""

from typing import Any

from hookfarm.devchain.embedded import RunningDevchain
from hookfarm.records import Transfer

TRANSFER: Transfer = {
    "kind": "transfer",
    "chain_id": 1,
    "block_number": 23_456_789,
    "block_hash": "0x" + "b1" * 32,
    "block_timestamp": 1_795_370_400,
    "transaction_hash": "0x" + "c2" * 32,
    "transaction_index": 7,
    "from": "0x" + "f0" * 20,
    "to": "0x" + "70" * 20,
    "value": "1500000000000000000",
    "removed": False,
}


def transfer(**changes: Any) -> Transfer:
    changed: Any = {**TRANSFER, **{name.rstrip("_"): value for name, value in changes.items()}}
    found: Transfer = changed
    return found


def as_transfers(raw: list[Any], chain_id: int) -> list[dict[str, Any]]:
    """Return the expected stream entries of value-moving transactions in JSON-RPC form."""
    return [
        {
            "kind": "transfer",
            "chain_id": chain_id,
            "block_number": int(each["blockNumber"], 16),
            "block_hash": each["blockHash"],
            "block_timestamp": int(each["blockTimestamp"], 16),
            "transaction_hash": each["hash"],
            "transaction_index": int(each["transactionIndex"], 16),
            "from": each["from"],
            "to": each["to"],
            "value": str(int(each["value"], 16)),
            "removed": False,
        }
        for each in raw
    ]


def canonical_transfers(devchain: RunningDevchain, above: int = 0) -> list[dict[str, Any]]:
    """Return the transfers of all canonical blocks above number `above`."""
    found = as_transfers(devchain.canonical_transfers(), devchain.chain_id)
    return [each for each in found if each["block_number"] > above]
