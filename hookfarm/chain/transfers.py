"""The transfers of a block, from its transactions and their receipts.

The header commits to both by roots whose encoding differs between chains, so the two lists prove each other:
transactions at indices from 0, and receipts with the same hashes, all of the requested block. A node that omits a
transaction from one list is detected. A node that omits the last ones from both is not.

A transfer is a successful transaction with a value. Failed ones move nothing. Internal transfers (value moved by
contract calls) are not detected.
"""

from collections.abc import Sequence
from typing import Any

from hookfarm.chain.block import Header, quantity
from hookfarm.chain.node import Node, result_or_raise
from hookfarm.chain.rpc import Call, Incomplete
from hookfarm.errors import ChainUnavailable
from hookfarm.records import Transfer

SUCCESS, FAILURE = 1, 0


def transactions_of(header: Header, block: Any) -> list[Any]:
    """Return a block's transactions in order. Raises Incomplete unless they belong to the header's block."""
    try:
        if block["hash"].lower() != header.block_hash:
            raise Incomplete(f"the node sent another block than {header.number}")
        found = sorted(block["transactions"], key=_index)
        _check_places(header, found, "transactions")
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent malformed transactions of block {header.number}") from error
    return found


def transfers_of(
    chain_id: int, header: Header, transactions: Sequence[Any], receipts: Sequence[Any]
) -> tuple[Transfer, ...]:
    """Return the transfers of a block, by transaction. Raises Incomplete unless receipts match transactions.

    `transactions` are in order.
    """
    try:
        by_place = sorted(receipts, key=_index)
        _check_places(header, by_place, "receipts")
        hashes = [transaction["hash"].lower() for transaction in transactions]
        if [receipt["transactionHash"].lower() for receipt in by_place] != hashes:
            raise Incomplete(
                f"block {header.number}: {len(by_place)} receipts are not those of its {len(hashes)} transactions"
            )
        pairs = zip(transactions, by_place, strict=True)
        return tuple(_transfer(chain_id, header, *pair) for pair in pairs if _moves_value(*pair))
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error


async def receipts_one_by_one(node: Node, header: Header, transactions: Sequence[Any]) -> list[Any]:
    """Return the receipts of a block, for a node without `eth_getBlockReceipts`."""
    calls: list[Call] = [("eth_getTransactionReceipt", [each["hash"]]) for each in transactions]
    receipts = [result_or_raise(answer) for answer in await node.request_all(calls)]
    if None in receipts:
        raise ChainUnavailable(f"{node.origin}: does not have all receipts of block {header.number}")
    return receipts


def _index(record: Any) -> int:
    return quantity(record["transactionIndex"])


def _check_places(header: Header, records: Sequence[Any], what: str) -> None:
    if [_index(record) for record in records] != list(range(len(records))):
        raise Incomplete(f"block {header.number}: the indices of its {what} are not 0 to {len(records) - 1}")
    if any(record["blockHash"].lower() != header.block_hash for record in records):
        raise Incomplete(f"block {header.number}: some of its {what} are of another block")


def _moves_value(transaction: Any, receipt: Any) -> bool:
    return quantity(transaction["value"]) > 0 and _succeeded(receipt)


def _succeeded(receipt: Any) -> bool:
    """Return whether a transaction succeeded. Raises Incomplete for a receipt without a status.

    Receipts have a status since EIP-658.
    """
    if receipt.get("status") is None:
        raise Incomplete("a receipt has no status; transfers need receipts since EIP-658")
    status = quantity(receipt["status"])
    if status not in (SUCCESS, FAILURE):
        raise Incomplete(f"a receipt has the unknown status {status}")
    return status == SUCCESS


def _transfer(chain_id: int, header: Header, transaction: Any, receipt: Any) -> Transfer:
    to = transaction["to"] if transaction["to"] is not None else receipt["contractAddress"]
    return {
        "kind": "transfer",
        "chain_id": chain_id,
        "block_number": header.number,
        "block_hash": header.block_hash,
        "block_timestamp": header.timestamp,
        "transaction_hash": transaction["hash"].lower(),
        "transaction_index": _index(transaction),
        "from": transaction["from"].lower(),
        "to": to.lower(),
        "value": str(quantity(transaction["value"])),
        "removed": False,
    }
