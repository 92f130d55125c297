"""The oracle: trials side by side in one farm, each a chain with its endpoints under random actions.

After each seed the trial stops its chain, and each receiver must know exactly the logs of the canonical chain that
its endpoint has subscribed to.
"""

import contextlib
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from hookfarm.store import keys
from tests.chaos.abort import AbortSignal
from tests.chaos.actions import Victims
from tests.chaos.cluster import LOOPBACK, PROCESSOR_TITLE, WORKER_TITLE
from tests.chaos.history import AnyBlock, ChainHistory
from tests.chaos.killer import Killer
from tests.chaos.message_log import Log
from tests.chaos.receiver_state import ReceiverState, ReceiverStates, difference
from tests.chaos.subscriptions import JsonLog, SubscribedEndpoint
from tests.support.farm_processes import FarmProcess, StartFarm
from tests.support.ingestor import Published
from tests.support.waiting import eventually

INGESTOR_TITLE = f"hookfarm: {keys.EVENT_INGESTOR} "
WORKERS = 8
RETRIES = "50ms,100ms,200ms,400ms,800ms,1600ms,3s,5s,5s,5s"
STARTS = 4
"""How often a farm is started, on a machine too busy to have all ingestors ready within the master's patience."""
STEPS = 60
PAUSES_SECONDS = (0.0, 0.0, 0.0, 0.002, 0.01, 0.03)
AGREEMENT_SECONDS = 120.0
"""How soon a receiver knows the chain's logs once it stands still, on a machine with much else to do."""
TAG_SECONDS = 4.5
"""Between two blocks while a chain's tags are waited for; an ingestor asks with the next block after 4 s."""
INGESTOR_SOCKETS, PROCESSOR_SOCKETS = 3, 2
"""What they have open once their work has begun: a process that is still booting is spared."""


class Chain(Protocol):
    """What a trial asks of its chain; RunningDevchain is one."""

    chain_id: int

    @property
    def ws_url(self) -> str: ...

    @property
    def http_url(self) -> str: ...

    def mine(self, n: int = 1) -> object: ...

    def head(self) -> AnyBlock: ...

    def canonical_logs(self) -> list[JsonLog]:
        """Those of the newest blocks, without a gap, or of all."""

    def clear_faults(self) -> None: ...


class Totals(NamedTuple):
    """What trials have come to."""

    seeds: int = 0
    blocks: int = 0
    reorgs: int = 0
    deepest: int = 0
    ingestor_kills: int = 0
    processor_kills: int = 0
    worker_kills: int = 0
    emitted: int = 0
    removed: int = 0
    repeated: int = 0

    @property
    def kills(self) -> int:
        return self.ingestor_kills + self.processor_kills + self.worker_kills

    def __str__(self) -> str:
        return (
            f"{self.seeds} seeds: {self.blocks:,} blocks, {self.reorgs:,} reorgs up to {self.deepest} deep, "
            f"{self.emitted:,} emitted, {self.removed:,} taken back, killed {self.ingestor_kills} ingestors, "
            f"{self.processor_kills} processors, {self.worker_kills} workers"
        )

    def __add__(self, other: "Totals") -> "Totals":  # type: ignore[override]
        sums = {name: getattr(self, name) + getattr(other, name) for name in self._fields}
        return Totals(**{**sums, "deepest": max(self.deepest, other.deepest)})


@dataclass
class Processes:
    """Who may be killed: the children of one master."""

    master: int

    def victims(self, trial: int, chance: random.Random) -> Victims:
        """The processors and workers of all trials, and the ingestor of this one."""
        return Victims(
            Killer(self.master, f"{INGESTOR_TITLE}{trial}", chance, INGESTOR_SOCKETS),
            Killer(self.master, PROCESSOR_TITLE, chance, PROCESSOR_SOCKETS),
            Killer(self.master, WORKER_TITLE, chance),
        )


class Trial:
    """The chain of one ingestor, the `number`th, and its endpoints."""

    def __init__(
        self,
        chain: Chain,
        history: ChainHistory,
        subscribed: Sequence[SubscribedEndpoint],
        receivers: ReceiverStates,
        published: Published,
        number: int = 0,
        abort: AbortSignal | None = None,
    ) -> None:
        self.chain = chain
        self.history = history
        self.subscribed = subscribed
        self.number = number
        self.abort = abort or AbortSignal()
        """Set when a trial of the same farm has failed: the others end then."""
        self._receivers = receivers
        self._published = published
        self._seeds = 0
        self._kills = [0, 0, 0]

    def run(self, seed: int, victims: Victims, perform: Callable[[], None], steps: int = STEPS) -> None:
        """All actions of a seed, then the comparison. AssertionError names the seed."""
        pauses = random.Random(seed)
        for _ in range(steps):
            perform()
            self.abort.sleep(pauses.choice(PAUSES_SECONDS))
        victims.processors.resume()
        self._seeds += 1
        self._kills = [before + killer.kills for before, killer in zip(self._kills, victims, strict=True)]
        try:
            self.settle()
        except AssertionError as error:
            raise AssertionError(f"chain {self.chain.chain_id}, seed {seed}: {error}") from error

    def reached(self) -> str:
        """The hash of the block up to which everything is published."""
        checkpoint = self._published.checkpoint()
        return checkpoint.block_hash if checkpoint else ""

    def settle(self) -> None:
        """Lets the chain stand still, at its highest, and waits until the receivers know its logs."""
        self.chain.clear_faults()
        self.chain.mine(max(self.history.highest - self.chain.head().number, 0) + 1)
        logs = self.chain.canonical_logs()
        for subscribed in self.subscribed:
            self._compare(subscribed, logs)

    def settle_tags(self, victims: Victims) -> None:
        """As `settle`, and until what waits for a tag has been sent as well.

        By a new ingestor: where a fault said that the node has no tags, a number of blocks stands for them.
        """
        self.chain.clear_faults()
        eventually(victims.ingestor.kill_one, AGREEMENT_SECONDS, "an ingestor to replace")
        for subscribed in self.subscribed:
            if isinstance(tag := subscribed.case.confirmations, str):
                self._await_tag(tag, subscribed.case.distance)
        self.compare_all()

    def compare_all(self) -> None:
        """What waited for tags included: for a chain that stands still since these were settled."""
        logs = self.chain.canonical_logs()
        for subscribed in self.subscribed:
            self._compare(subscribed, logs, with_tags=True)

    def totals(self) -> Totals:
        totals = Totals(self._seeds, *self.history.counts(), *self._kills)
        for subscribed in self.subscribed:
            with self._receivers.now(subscribed.endpoint) as state:
                emitted, removed = len(state.emitted), len(state.removed)
                totals += Totals(emitted=emitted, removed=removed, repeated=state.repeated)
        return totals

    def _await_tag(self, tag: str, distance: int) -> None:
        mined_at = [0.0]

        def there() -> bool:
            if self._published.heads().get(tag, 0) >= self.chain.head().number - distance:
                return True
            if time.monotonic() - mined_at[0] > TAG_SECONDS:
                self.chain.mine(1)
                mined_at[0] = time.monotonic()
            return False

        eventually(there, AGREEMENT_SECONDS, "a tag reaching its block")

    def _compare(self, subscribed: SubscribedEndpoint, logs: Sequence[JsonLog], with_tags: bool = False) -> None:
        wanted = set(expected_logs(subscribed, logs, self.chain.head().number))
        lowest = min((int(log["blockNumber"], 16) for log in logs), default=0)
        whole = with_tags or isinstance(subscribed.case.confirmations, int)
        problem = [""]

        def right() -> bool:
            with self._receivers.now(subscribed.endpoint) as state:
                current = state.current(lowest)
            problem[0] = difference(current, wanted if whole else wanted & current.keys())
            return not problem[0]

        name = f"{subscribed.case.name} ({subscribed.endpoint})"
        try:
            eventually(right, AGREEMENT_SECONDS, "the receivers' agreement with the chain")
        except AssertionError as error:
            raise AssertionError(f"{name}: {problem[0]}") from error
        with self._receivers.now(subscribed.endpoint) as state:
            assert not state.wrong, f"{name}: {state.wrong[:3]}"
            early = list(self._early(state, subscribed.case.distance))
        assert not early, f"{name}: sent too early: {early[:3]}"

    def _early(self, state: ReceiverState, distance: int) -> Iterator[str]:
        """What never had as many blocks on it as the endpoint asks for."""
        for name, ((block_hash, _), number) in state.emitted.items():
            under = self.history.ever_under(block_hash, number)
            if under < distance:
                yield f"{name} of block {number} {block_hash[:10]}, which had {under} on it at most"


def start_trial_farm(
    start_farm: StartFarm, redis_url: str, trials: Sequence[Trial], chance: random.Random
) -> FarmProcess:
    """All services, with an ingestor for each trial, over one transport or the other."""
    services = (keys.MESSAGE_PROCESSOR, keys.WEBHOOK_DELIVERY, keys.EVENT_INGESTOR)
    options = ["--workers", str(WORKERS), "--processors", str(chance.randint(1, 3)), "--from-block", "1"]
    for trial in trials:
        url = chance.choice([trial.chain.ws_url, trial.chain.ws_url, trial.chain.http_url])
        options += ["--chain", f"{trial.chain.chain_id}={url}"]
    variables = {"HOOKFARM_ALLOW_PRIVATE": LOOPBACK, "HOOKFARM_RETRY_SCHEDULE": RETRIES}
    for _ in range(STARTS):
        farm = start_farm(*services, *options, redis_url=redis_url, **variables)
        with contextlib.suppress(AssertionError):
            return farm.wait_ready()
        farm.close()
    raise AssertionError(f"no farm got ready: {farm.stderr}")


def possible_duplicates(farm: FarmProcess) -> int:
    """How many deliveries the farm may have made twice: one for each job that a worker held when it died, and for
    each answer that it did not get. A 503 is none of them: the message recorder has not believed it."""
    lines = farm.stderr.splitlines()
    orphans = sum("orphan requeued" in line for line in lines)
    return orphans + sum("attempt failed" in line and "result=503" not in line for line in lines)


def expected_logs(subscribed: SubscribedEndpoint, logs: Sequence[JsonLog], head: int) -> Iterator[Log]:
    """The logs that the endpoint must know of."""
    for log in logs:
        if int(log["blockNumber"], 16) <= head - subscribed.case.distance and subscribed.case.matches(log):
            yield log["blockHash"], int(log["logIndex"], 16)
