"""A sample event of a log."""

from hookfarm.records import Event

EVENT: Event = {
    "chain_id": 1,
    "block_number": 23_456_789,
    "block_hash": "0x" + "b1" * 32,
    "block_timestamp": 1_795_370_400,
    "transaction_hash": "0x" + "c2" * 32,
    "transaction_index": 4,
    "log_index": 7,
    "address": "0x" + "d3" * 20,
    "topics": ["0x" + "e4" * 32],
    "data": "0x" + "00" * 31 + "01",
    "removed": False,
}
