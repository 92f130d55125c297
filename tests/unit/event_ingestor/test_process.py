"""The supervisor of the chains of one process."""

import asyncio

import pytest

from hookfarm.config import ChainConfig
from hookfarm.errors import CouldNotBoot
from hookfarm.event_ingestor import process
from hookfarm.farm.scoreboard import Scoreboard, Slot, State

CHAINS = [ChainConfig(chain_id, ("ws://n",)) for chain_id in (1, 2)]


def slots() -> list[Slot]:
    return list(Scoreboard({"service": len(CHAINS)}).slots("service"))


def test_a_chain_that_fails_is_tried_again_while_another_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_SECONDS", 0.0)
    of, lives = slots(), {1: 0, 2: 0}
    seen: list[tuple[State, str]] = []

    async def ingest(slot: Slot, chain: ChainConfig) -> None:
        lives[chain.chain_id] += 1
        if chain.chain_id == 1:
            raise CouldNotBoot("chain 1: another chain")
        slot.mark_up()
        while lives[1] < 3:
            await asyncio.sleep(0)
        seen.append((of[0].state, of[0].reason))
        raise ZeroDivisionError("a bug")

    error = asyncio.run(first_error(ingest, of))
    assert isinstance(error, CouldNotBoot | ZeroDivisionError), "all have failed"
    assert lives[1] >= 3
    assert seen[0] == (State.STALLED, "chain 1: another chain")


def test_a_chain_that_has_been_up_again_no_longer_counts_as_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "FIRST_PAUSE_SECONDS", 0.0)
    of, lives = slots(), {1: 0, 2: 0}

    async def main() -> Exception | None:
        first_up, second_again = asyncio.Event(), asyncio.Event()

        async def ingest(slot: Slot, chain: ChainConfig) -> None:
            lives[chain.chain_id] += 1
            if chain.chain_id == 1:
                if lives[1] == 1:
                    raise ZeroDivisionError("the first chain, once")
                slot.mark_up()
                first_up.set()
            elif lives[2] == 1:
                await first_up.wait()
                raise ZeroDivisionError("the second chain, once")
            else:
                second_again.set()
            await asyncio.Event().wait()

        ended = asyncio.create_task(first_error(ingest, of))
        again = asyncio.create_task(second_again.wait())
        await asyncio.wait([ended, again], return_when=asyncio.FIRST_COMPLETED)
        if not ended.done():
            ended.cancel()
            return None
        return ended.result()

    assert asyncio.run(main()) is None
    assert lives == {1: 2, 2: 2}


async def first_error(ingest: process.Ingest, of: list[Slot]) -> Exception:
    """Run all chains until one raises, and return its error."""
    supervisor = process.ChainSupervisor(ingest, len(CHAINS))
    tasks = [asyncio.create_task(supervisor.run(*each)) for each in zip(of, CHAINS, strict=True)]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
    error = done.pop().exception()
    assert isinstance(error, Exception)
    return error
