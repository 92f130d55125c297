"""Entry point of a message processor: what the farm calls in the child.

It imports nothing heavy at the top, so that a process that does not run this service stays small: decoding needs
eth_abi, 15 MB and a third of a second.
"""

import gc
from collections.abc import Sequence
from importlib import import_module

from hookfarm.farm.child import Child
from hookfarm.tracing import TracingSettings, open_spans

GC_THRESHOLD = 50_000
"""New containers before a collection. A batch makes some thousand of them, none in a cycle; at
Python's 700 each batch would wait for several collections, now and then for one of the whole index."""


def prepare() -> None:
    """Import everything a processor needs, before the fork, and let Keccak choose its implementation."""
    from eth_hash.auto import keccak  # Heavy, see above.

    import_module("hookfarm.message_processor.processor")
    keccak(b"")


def run(
    child: Child, redis_url: str, chain_ids: Sequence[int], consumer: str, tracing: TracingSettings | None = None
) -> None:
    """Run one processor until it is asked to stop. It reads `chain_ids` and every chain that a subscription names.

    `consumer` is its name in the group; a successor of the same name takes over its pending entries.
    """
    from hookfarm.message_processor.processor import Processor  # Heavy, see above.

    gc.set_threshold(GC_THRESHOLD)
    with open_spans(tracing, child) as spans:
        Processor(child, redis_url, chain_ids, consumer, spans).run()
