"""Headers and logs as nodes send them."""

from hookfarm.chain.block import Block, Header, parse_logs

ZERO_BLOOM = "0x" + "00" * 256
SOME_BLOOM = "0x" + "00" * 255 + "10"


def word(number: int) -> str:
    return f"0x{number:064x}"


def header(number: int = 5, *, fork: int = 0, bloom: str | None = SOME_BLOOM, parent_fork: int = 0) -> Header:
    """Block `number` of branch `fork`, on its parent of branch `parent_fork`."""
    return Header(
        number=number,
        block_hash=word(1_000_000 * fork + number),
        parent_hash=word(1_000_000 * parent_fork + number - 1),
        timestamp=1_700_000_000 + number,
        logs_bloom=bloom,
    )


def block(number: int, *, fork: int = 0, parent_fork: int = 0, logs: int = 0) -> Block:
    bloom = SOME_BLOOM if logs else ZERO_BLOOM
    of = header(number, fork=fork, bloom=bloom, parent_fork=parent_fork)
    return Block(of, parse_logs(1, of, [log(of, index) for index in range(logs)]))


def log(of: Header, index: int = 0) -> dict[str, object]:
    """One log of the block, in the mixed case that some nodes send."""
    return {
        "address": "0x" + "Ab" * 20,
        "topics": [word(1), "0x" + "CD" * 32],
        "data": "0xBEEF",
        "blockHash": of.block_hash.upper().replace("0X", "0x"),
        "blockNumber": hex(of.number),
        "transactionHash": "0x" + "EF" * 32,
        "transactionIndex": "0x2",
        "logIndex": hex(index),
        "removed": False,
    }
