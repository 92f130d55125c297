"""Reference checks of blocks from their JSON, with the `rlp` package, like a client's."""

from typing import Any

import rlp  # type: ignore[import-untyped]
from eth_hash.auto import keccak

Json = dict[str, Any]

HEADER_FIELDS = (
    "parentHash",
    "sha3Uncles",
    "miner",
    "stateRoot",
    "transactionsRoot",
    "receiptsRoot",
    "logsBloom",
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "extraData",
    "mixHash",
    "nonce",
    "baseFeePerGas",
    "withdrawalsRoot",
    "blobGasUsed",
    "excessBlobGas",
    "parentBeaconBlockRoot",
    "requestsHash",
)

QUANTITIES = {
    "difficulty",
    "number",
    "gasLimit",
    "gasUsed",
    "timestamp",
    "baseFeePerGas",
    "blobGasUsed",
    "excessBlobGas",
}


def data(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def number(text: str) -> int:
    return int(text, 16)


def header_hash(header: Json) -> str:
    fields = [number(header[name]) if name in QUANTITIES else data(header[name]) for name in HEADER_FIELDS]
    return "0x" + keccak(rlp.encode(fields)).hex()


def encoded_transaction(transaction: Json) -> bytes:
    """Return an EIP-1559 transaction without an access list, encoded."""
    names = ("chainId", "nonce", "maxPriorityFeePerGas", "maxFeePerGas", "gas")
    fields: list[Any] = [number(transaction[name]) for name in names]
    fields += [data(transaction["to"] or "0x"), number(transaction["value"]), data(transaction["input"])]
    fields += [[]]
    fields += [number(transaction[name]) for name in ("yParity", "r", "s")]
    return b"\x02" + bytes(rlp.encode(fields))


def encoded_receipt(receipt: Json) -> bytes:
    logs = [
        [data(log["address"]), [data(topic) for topic in log["topics"]], data(log["data"])]
        for log in receipt["logs"]
    ]
    fields = [number(receipt["status"]), number(receipt["cumulativeGasUsed"])]
    return b"\x02" + bytes(rlp.encode([*fields, data(receipt["logsBloom"]), logs]))


def bloom(logs: list[Json]) -> str:
    """Return the bloom, bit by bit as in the yellow paper: bit 0 is the last of 2048."""
    bits = bytearray(256)
    for log in logs:
        for text in (log["address"], *log["topics"]):
            digest = keccak(data(text))
            for pair in (0, 2, 4):
                bit = (digest[pair] << 8 | digest[pair + 1]) % 2048
                bits[255 - bit // 8] |= 1 << bit % 8
    return "0x" + bits.hex()
