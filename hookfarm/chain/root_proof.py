"""Proof of a block by the roots in its header: `verify=receipts-root`.

1. The fields of the block make its hash, so the roots are those of the block with this hash.
2. The receipts make receiptsRoot, so address, topics, data, order and number of all logs are proven, and the
   status of each transaction.
3. With transfers, the transactions make transactionsRoot, and each one its own hash. So hash, recipient and value
   are proven, and that no transaction is missing.

A node that leaves out, adds or changes a log is found out, whatever bloom it shows. Not proven are the hash of a
log's transaction without transfers, the sender of a transfer (it follows from the signature) and the address of a
created contract. A node may make up a whole block with a hash of its own; the block of another node then does not
link to it.

A header may have fields of forks that are unknown here. If so, and no hash of the chain has been recomputed yet,
it is used as it is, and `OTHER_HASH` is noticed: then the receipts match a header that the node may have made up.
Any other header whose fields do not make its hash is refused, so chains that hash in another way (zkSync, Cosmos
chains) need another proof.
"""

from collections.abc import Sequence
from typing import Any

from hookfarm.abi.bloom import keccak
from hookfarm.chain.block import Header, parse_logs
from hookfarm.chain.merkle_roots import (
    EMPTY_ROOT,
    UnknownEncoding,
    encoded_receipt,
    encoded_transaction,
    header_hash,
    ordered_root,
    unknown_fields,
)
from hookfarm.chain.rpc import Incomplete
from hookfarm.chain.transfers import Receipts
from hookfarm.errors import ChainUnavailable
from hookfarm.records import Event

OTHER_HASH = "block hash not recomputed"


class RootProof:
    """Proves the blocks of one chain. Every method raises Incomplete for a block that is not proven."""

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id
        self._recomputes = False
        """True after the first header whose fields make its hash."""

    def check_header(self, header: Header, raw: Any) -> bool:
        """Return whether the fields of a block make its hash; False = it has unknown fields."""
        if header_hash(raw) == header.block_hash:
            self._recomputes = True
        elif self._recomputes or not unknown_fields(raw):
            raise Incomplete(f"block {header.number}: its fields do not make its hash")
        return self._recomputes

    def events(self, header: Header, raw: Any, receipts: Receipts) -> list[Event]:
        """Return the events of a block. Their places are those in the receipts, whatever the logs say."""
        if receipts.absent:
            raise Incomplete(f"block {header.number}: no receipts of {len(receipts.absent)} transactions")
        ordered = [*receipts.of_transactions.values(), *receipts.of_system]
        try:
            root = ordered_root([encoded_receipt(receipt) for receipt in ordered])
            if root != _root(raw, "receiptsRoot"):
                raise Incomplete(f"block {header.number}: {len(ordered)} receipts do not make its receiptsRoot")
            return parse_logs(self._chain_id, header, _placed(ordered))
        except UnknownEncoding as error:
            raise UnknownEncoding(f"block {header.number}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainUnavailable(f"the node sent malformed receipts of block {header.number}") from error

    def check_transactions(self, header: Header, raw: Any, transactions: Sequence[Any]) -> None:
        """Check the transactions of a block, given in order."""
        try:
            encoded = [encoded_transaction(each) for each in transactions]
            if ordered_root(encoded) != _root(raw, "transactionsRoot"):
                count = f"{len(encoded)} transactions"
                raise Incomplete(f"block {header.number}: {count} do not make its transactionsRoot")
            for place, (each, made) in enumerate(zip(transactions, encoded, strict=True)):
                if each["hash"].lower() != "0x" + keccak(made).hex():
                    raise Incomplete(f"block {header.number}: transaction {place} does not make its hash")
        except UnknownEncoding as error:
            raise UnknownEncoding(f"block {header.number}: {error}") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ChainUnavailable(f"the node sent malformed transactions of block {header.number}") from error


def has_receipts(raw: Any) -> bool:
    """Return whether the header commits to receipts; False = to none, so they need not be requested."""
    return bool(raw.get("receiptsRoot") != f"0x{EMPTY_ROOT.hex()}")


def _root(raw: Any, name: str) -> bytes:
    return bytes.fromhex(raw[name][2:])


def _placed(receipts: Sequence[Any]) -> list[Any]:
    """Return the logs of receipts with the places that the receipts give them."""
    logs: list[Any] = []
    for index, receipt in enumerate(receipts):
        place = {"transactionHash": receipt["transactionHash"], "transactionIndex": hex(index)}
        for log in receipt["logs"]:
            logs.append({**log, **place, "logIndex": hex(len(logs))})
    return logs
