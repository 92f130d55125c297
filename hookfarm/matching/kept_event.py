"""An event as it is kept until its block is final: deflated, and small because most of its text is known.

Once for each log, whoever waits for it: about 200 bytes for a transfer, against 1,100 of a job for each endpoint.
"""

import zlib

import orjson

from hookfarm.records import ChainEvent

_USUAL = (
    b'0000000000000000000000000000000000000000000000000000000000000000","removed":false}","block_timestamp":17'
    b'","transaction_hash":"0x","transaction_index":1,"log_index":1,"address":"0x","topics":["0x'
    b'ddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef","0x000000000000000000000000","0x'
    b'000000000000000000000000","0x"],"data":"0x{"chain_id":1,"block_number":1,"block_hash":"0x'
)
"""What is in nearly every event; a change makes what is kept unreadable, and so wants another key."""
_RAW = -15


def deflated(event: ChainEvent) -> bytes:
    packer = zlib.compressobj(wbits=_RAW, zdict=_USUAL + event["block_hash"].encode())
    return packer.compress(orjson.dumps(event)) + packer.flush()


def inflated(kept: bytes, block_hash: str) -> ChainEvent:
    """`block_hash` as the event has it. zlib.error or ValueError where it is not what `deflated` made."""
    event: ChainEvent = orjson.loads(
        zlib.decompressobj(wbits=_RAW, zdict=_USUAL + block_hash.encode()).decompress(kept)
    )
    return event
