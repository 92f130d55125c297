"""The transfers of a block, from its transactions and their receipts.

The header commits to both by roots whose encoding differs between chains, so the two lists prove each other:
transactions at indices from 0, and receipts with the same hashes, all of the requested block. A transaction
missing from one list is detected. The last transactions missing from both are not. System transactions without a
value may lack a receipt, and the system may have a receipt without a transaction.

A transfer is a successful transaction with a value. Failed ones move nothing. Internal transfers (value moved by
contract calls) are not detected.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hookfarm.chain.block import Header, quantity
from hookfarm.chain.node import Node, require_list, result_or_raise
from hookfarm.chain.rpc import Call, Incomplete, Refused
from hookfarm.errors import ChainUnavailable
from hookfarm.records import Transfer

SUCCESS, FAILURE = 1, 0
ZERO_HASH = "0x" + "00" * 32
"""Transaction hash of logs and receipts of the system, on some chains. On others it is the block's hash."""


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


def hashes_of(header: Header, block: Any) -> list[str]:
    """Return the hashes of a block's transactions, whole or not. Raises ChainUnavailable for another block."""
    if block is None:
        raise ChainUnavailable(f"does not have block {header.number}")
    try:
        if block["hash"].lower() != header.block_hash:
            raise Incomplete(f"the node sent another block than {header.number}")
        found = block["transactions"]
        return [(each if isinstance(each, str) else each["hash"]).lower() for each in found]
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent malformed transactions of block {header.number}") from error


class Receipts(NamedTuple):
    """The receipts of a block: those of its transactions by hash, and those of the system.

    `absent` are the transactions without a receipt: some chains make none for system transactions.
    """

    of_transactions: Mapping[str, Any]
    of_system: Sequence[Any]
    absent: Sequence[str]

    @property
    def has_reverts(self) -> bool:
        """Return whether a transaction of the block failed, or left no receipt."""
        return bool(self.absent) or any(each.get("status") == "0x0" for each in self.of_transactions.values())

    @property
    def logs(self) -> list[Any]:
        return [log for receipt in (*self.of_transactions.values(), *self.of_system) for log in receipt["logs"]]


async def complete_receipts(node: Node, header: Header, hashes: Sequence[str], answer: Any) -> Receipts:
    """Return the receipts of a block, those missing in `answer` requested one by one.

    `answer` is the result of `eth_getBlockReceipts`, Refused as a value: not every node supports it. Raises
    Incomplete for receipts of unknown transactions, because `hashes` then omits transactions. Of several receipts
    of one transaction, that with the index of the transaction counts (Hedera).
    """
    found = [] if isinstance(answer, Refused) else result_or_raise(answer)
    receipts = require_list(found, f"receipts of block {header.number}")
    known = _by_hash(header, hashes, receipts)
    missing = [each for each in hashes if each not in known]
    if missing:
        calls: list[Call] = [("eth_getTransactionReceipt", [each]) for each in missing]
        singles = [result_or_raise(single) for single in await node.request_all(calls)]
        known |= _by_hash(header, hashes, singles)
    others = [receipt for transaction, receipt in known.items() if transaction not in set(hashes)]
    if not {each["transactionHash"].lower() for each in others} <= {ZERO_HASH, header.block_hash}:
        counts = f"{len(known)} receipts are not those of its {len(hashes)} transactions"
        raise Incomplete(f"block {header.number}: {counts}")
    of_transactions = {each: known[each] for each in hashes if each in known}
    return Receipts(of_transactions, others, [each for each in hashes if each not in known])


def receipt_logs(header: Header, raw: Any) -> list[Any]:
    """Return the logs of all receipts of a block.

    Raises Incomplete for a missing receipt or one too many, ChainUnavailable for a malformed one.
    """
    try:
        if None in raw:
            raise Incomplete(f"the node left out receipts of block {header.number}")
        indices = sorted(quantity(receipt["transactionIndex"]) for receipt in raw)
        logs = [log for receipt in raw for log in receipt["logs"]]
    except (KeyError, TypeError) as error:
        raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error
    if indices != list(range(len(indices))):
        raise Incomplete(f"the receipts of block {header.number} are not those of transactions 0 to n")
    return logs


def _by_hash(header: Header, hashes: Sequence[str], receipts: Sequence[Any]) -> dict[str, Any]:
    """Return receipts by transaction hash, without nulls. Raises Incomplete for another block's.

    `hashes` are those of the block's transactions, in order.
    """
    places = {transaction: place for place, transaction in enumerate(hashes)}
    found: dict[str, Any] = {}
    try:
        for receipt in receipts:
            if receipt is None:
                continue
            if receipt["blockHash"].lower() != header.block_hash:
                raise Incomplete(f"block {header.number}: some of its receipts are of another block")
            list(receipt["logs"])
            transaction, place = receipt["transactionHash"].lower(), _index(receipt)
            if transaction not in found or place == places.get(transaction):
                found[transaction] = receipt
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error
    return found


def transfers_of(
    chain_id: int, header: Header, transactions: Sequence[Any], receipts: Receipts
) -> tuple[Transfer, ...]:
    """Return the transfers of a block, by transaction. Raises Incomplete unless receipts match transactions.

    `transactions` are in order. One without a receipt moves nothing if it has no value.
    """
    try:
        pairs = [(each, receipts.of_transactions.get(each["hash"].lower())) for each in transactions]
        for transaction, receipt in pairs:
            if receipt is None and quantity(transaction["value"]) > 0:
                raise Incomplete(f"the node does not have all receipts of block {header.number}")
            if receipt is not None and _index(receipt) != _index(transaction):
                raise Incomplete(f"block {header.number}: a receipt and its transaction have different indices")
        return tuple(_transfer(chain_id, header, *pair) for pair in pairs if _moves_value(*pair))
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error


async def transfers_given(
    chain_id: int, node: Node, header: Header, block: Any, answer: Any
) -> tuple[Transfer, ...]:
    """Return the transfers of a block that is accepted without a proof: those with a receipt of their success.

    `answer` as in `complete_receipts`. A receipt without a status shows nothing.
    """
    receipts = answer if isinstance(answer, list) else []
    try:
        transactions = {transaction["hash"].lower(): transaction for transaction in block["transactions"]}
        missing = transactions.keys() - {receipt["transactionHash"].lower() for receipt in receipts}
        singles = await node.request_all([("eth_getTransactionReceipt", [each]) for each in sorted(missing)])
        found: dict[int, Transfer] = {}
        for receipt in [*receipts, *(single for single in singles if isinstance(single, dict))]:
            transaction = transactions.get(receipt["transactionHash"].lower())
            succeeded = receipt["blockHash"].lower() == header.block_hash and receipt.get("status") == hex(SUCCESS)
            if transaction is not None and succeeded and quantity(transaction["value"]) > 0:
                found.setdefault(_index(transaction), _transfer(chain_id, header, transaction, receipt))
    except (KeyError, TypeError, AttributeError) as error:
        raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error
    return tuple(found[index] for index in sorted(found))


def _index(record: Any) -> int:
    return quantity(record["transactionIndex"])


def _check_places(header: Header, records: Sequence[Any], what: str) -> None:
    if [_index(record) for record in records] != list(range(len(records))):
        raise Incomplete(f"block {header.number}: the indices of its {what} are not 0 to {len(records) - 1}")
    if any(record["blockHash"].lower() != header.block_hash for record in records):
        raise Incomplete(f"block {header.number}: some of its {what} are of another block")


def _moves_value(transaction: Any, receipt: Any) -> bool:
    return receipt is not None and quantity(transaction["value"]) > 0 and _succeeded(receipt)


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
