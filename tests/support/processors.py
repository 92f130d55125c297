"""Forked processors, and entries for them."""

import os
import signal
from typing import Any

import orjson
import redis

from hookfarm import logs
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.message_processor import process
from hookfarm.records import Endpoint, Subscription
from hookfarm.store import keys
from tests.support.waiting import eventually

TRANSFER = "Transfer(address indexed from, address indexed to, uint256 value)"


TOPIC0 = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"


TOKEN = "0x" + "a0" * 20


class Processors:
    """Forked processors and their scoreboard; killed at the end of the test."""

    def __init__(self, url: str, size: int = 4) -> None:
        self.scoreboard = Scoreboard({keys.MESSAGE_PROCESSOR: size})
        self._url = url
        self._pids: dict[int, int] = {}

    def start(self, index: int = 0, chains: tuple[int, ...] = (), consumer: str = "") -> None:
        self.scoreboard.slots(keys.MESSAGE_PROCESSOR)[index].state = State.BOOTING
        pid = os.fork()
        if not pid:
            self._live(index, chains, consumer or f"consumer-{index}")
        self._pids[index] = pid

    def start_and_wait(self, index: int = 0, chains: tuple[int, ...] = (), consumer: str = "") -> None:
        self.start(index, chains, consumer)
        eventually(lambda: self.state(index) == State.UP, what="the processor being up")

    def _live(self, index: int, chains: tuple[int, ...], consumer: str) -> None:
        code = 1
        try:
            logs.configure("error")
            child = Child(keys.MESSAGE_PROCESSOR, index, self.scoreboard)
            child.handle_signals()
            process.prepare()
            process.run(child, self._url, chains, consumer)
            code = 0
        finally:
            os._exit(code)

    def state(self, index: int = 0) -> State:
        return self.scoreboard.slots(keys.MESSAGE_PROCESSOR)[index].state

    def reason(self, index: int = 0) -> str:
        return self.scoreboard.slots(keys.MESSAGE_PROCESSOR)[index].reason

    def counter(self, gauge: int) -> int:
        return sum(slot.counter(gauge) for slot in self.scoreboard.slots(keys.MESSAGE_PROCESSOR))

    def expect(self, gauge: int, total: int) -> None:
        """Wait for a counter's total: it is written just after Redis has answered."""
        eventually(lambda: self.counter(gauge) == total, what=f"gauge {gauge} being {total}")

    def signal(self, index: int, number: int) -> None:
        os.kill(self._pids[index], number)

    def end(self, index: int, number: int) -> int:
        """Send the signal; return the exit status, negative for a signal."""
        pid = self._pids[index]
        os.kill(pid, number)
        [status] = eventually(lambda: _reaped(pid), what="the processor's end")
        del self._pids[index]
        return os.waitstatus_to_exitcode(status)

    def close(self) -> None:
        for index in list(self._pids):
            self.end(index, signal.SIGKILL)


def _reaped(pid: int) -> list[int]:
    """Return a list with the exit status of an exited child; empty while it lives."""
    found, status = os.waitpid(pid, os.WNOHANG)
    return [status] if found else []


def endpoint(identity: str, *subscriptions: Subscription, enabled: bool = True) -> Endpoint:
    wanted = subscriptions or (Subscription(f"sub_{identity}", 1, event=TRANSFER),)
    return Endpoint(f"ep_{identity}", "https://example.com/", subscriptions=wanted, enabled=enabled)


def transfer(number: int, chain_id: int = 1) -> dict[str, Any]:
    return {
        "chain_id": chain_id,
        "block_number": number,
        "block_hash": f"0x{number:064x}",
        "block_timestamp": 1_795_370_400,
        "transaction_hash": f"0x{number + 1:064x}",
        "transaction_index": 0,
        "log_index": number % 100,
        "address": TOKEN,
        "topics": [TOPIC0, "0x" + "00" * 12 + "11" * 20, "0x" + "00" * 12 + "22" * 20],
        "data": f"0x{number:064x}",
        "removed": False,
    }


def publish(client: redis.Redis, *numbers: int, chain_id: int = 1) -> None:
    for number in numbers:
        client.xadd(keys.events(chain_id), {"event": orjson.dumps(transfer(number, chain_id))})


def queued(client: redis.Redis) -> list[dict[str, Any]]:
    """Return the jobs in the list or parked, in order of enqueueing."""
    places = [keys.OPEN, *client.scan_iter(match=f"{keys.PARKED}*")]
    with client.pipeline(transaction=True) as pipe:
        for place in places:
            pipe.zrange(place, 0, -1, withscores=True)
        pipe.llen(keys.DELIVERY_QUEUE)
        open_, *parked, listed = pipe.execute()
    assert listed == len(open_), "the list differs from the open jobs"
    waiting = sorted((score, job_id) for place in (open_, *parked) for job_id, score in place)
    jobs: Any = client.hmget(keys.JOBS, [job_id for _, job_id in waiting]) if waiting else []
    return [orjson.loads(job) for job in jobs]


def pending(client: redis.Redis, chain_id: int = 1) -> int:
    return int(client.xpending(keys.events(chain_id), keys.PROCESSOR_GROUP)["pending"])
