"""Entry point of a message processor, called by the farm in the child.

The module itself imports nothing heavy, so that processes of other services stay small: eth_abi takes 15 MB and a
third of a second.
"""

import gc
from collections.abc import Sequence
from importlib import import_module

from hookfarm.farm.child import Child
from hookfarm.tracing import TracingSettings, open_spans

GC_THRESHOLD = 50_000
"""Container allocations between garbage collections. A batch allocates some thousand, none in a cycle. At Python's
default of 700, each batch would run several collections, sometimes of the whole index."""


def prepare() -> None:
    """Import the heavy modules before the fork, and make Keccak select its implementation."""
    from eth_hash.auto import keccak  # Heavy, see above.

    import_module("hookfarm.message_processor.processor")
    keccak(b"")


def run(
    child: Child, redis_url: str, chain_ids: Sequence[int], consumer: str, tracing: TracingSettings | None = None
) -> None:
    """Run one processor until it is asked to stop, on `chain_ids` and the chains of all subscriptions.

    `consumer` is its name in the group; a successor with the same name takes over its pending entries.
    """
    from hookfarm.message_processor.processor import Processor  # Heavy, see above.

    gc.set_threshold(GC_THRESHOLD)
    with open_spans(tracing, child) as spans:
        Processor(child, redis_url, chain_ids, consumer, spans).run()
