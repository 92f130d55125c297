"""The receiver as a child of a farm: counts in its slot, and tells of each verified webhook through a pipe."""

import asyncio
import contextlib
import os
from collections.abc import Sequence
from pathlib import Path

from hookfarm.config import Address
from hookfarm.farm.child import Child
from hookfarm.receiver.arrival import Arrival, Tally
from hookfarm.receiver.server import receiving
from hookfarm.receiver.told import Told
from hookfarm.receiver.verification import Judgement, Verifier

SERVICE = "receiver"
RECEIVED, NOT_VERIFIED = range(2)
"""Counters of the slot: all webhooks, and those whose signature was wrong."""
HEARTBEAT_SECONDS = 0.5
WORDS_SECONDS = 0.02
"""How often a webhook is told in words: oftener than anybody reads."""
HEARTBEAT_PROMISE_SECONDS = 2.0


def run(child: Child, address: Address, secrets: Sequence[str], tell: Path) -> None:
    """The child's whole life. `tell` is a named pipe that somebody reads: a `Told` a line for each verified
    webhook. CouldNotBoot where the address cannot be listened on."""
    asyncio.run(_live(child, address, Verifier(secrets), tell))


async def _live(child: Child, address: Address, verifier: Verifier, tell: Path) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_reader(child.stop_fd, stop.set)
    pipe = os.open(tell, os.O_WRONLY | os.O_NONBLOCK)
    # A transport, because a reader that is slow must not block the answers.
    transport, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, os.fdopen(pipe, "wb", buffering=0))
    tally, words_due = Tally(), 0.0

    def handle(arrival: Arrival) -> None:
        nonlocal words_due
        tally.count(arrival)
        child.slot.set_counter(RECEIVED, tally.received)
        child.slot.set_counter(NOT_VERIFIED, tally.judged[Judgement.NOT_VERIFIED])
        if arrival.verdict.judgement is Judgement.VERIFIED:
            in_words = arrival.at >= words_due
            words_due = arrival.at + WORDS_SECONDS if in_words else words_due
            transport.write(Told.of(arrival, in_words=in_words).line())

    try:
        async with receiving(address, verifier, handle):
            child.mark_up()
            while not stop.is_set():
                child.slot.promise(HEARTBEAT_PROMISE_SECONDS)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), HEARTBEAT_SECONDS)
    finally:
        loop.remove_reader(child.stop_fd)
        transport.close()
