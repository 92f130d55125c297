"""The door to the message processor: what the farm calls in a child.

It imports nothing heavy by itself, so that knowing this service costs a process that does not run it
nothing: decoding needs eth_abi, 15 MB and a third of a second.
"""

import gc
from collections.abc import Sequence
from importlib import import_module

from hookfarm.farm.child import Child
from hookfarm.tracing.setup import TracingSettings, open_spans

COLLECT_EVERY = 50_000
"""New containers. A batch makes some thousand of them, none in a cycle; at Python's 700 each batch would wait for
several searches, now and then for one through the whole index."""


def prepare() -> None:
    """Imports what a processor needs, and has Keccak choose its implementation."""
    from eth_hash.auto import keccak

    import_module("hookfarm.message_processor.processor")
    keccak(b"")


def run(
    child: Child, redis_url: str, chain_ids: Sequence[int], consumer: str, tracing: TracingSettings | None = None
) -> None:
    """The child's whole life: reads `chain_ids` and every chain that a subscription names; returns when told
    to stop. `consumer` is its name in the group; a successor of the same name takes over what it left."""
    from hookfarm.message_processor.processor import Processor

    gc.set_threshold(COLLECT_EVERY)
    with open_spans(tracing, child) as spans:
        Processor(child, redis_url, chain_ids, consumer, spans).run()
