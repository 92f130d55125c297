"""What the keeper of a farm has to do: its duties, whom it wakes, whom it tells what it heard of Redis."""

from collections.abc import Callable, Sequence
from functools import partial
from itertools import chain

import redis

from hookfarm import delivery_queue
from hookfarm.config import Config
from hookfarm.deliveries import trimming
from hookfarm.deliveries.trimming import LogTrimmer
from hookfarm.delivery_queue import Orphan, operational
from hookfarm.event_ingestor.stalled_chains import EVERY_SECONDS as STALLS_SECONDS
from hookfarm.event_ingestor.stalled_chains import Stalls
from hookfarm.farm.scoreboard import Board
from hookfarm.keeper import counters as keeper_gauges
from hookfarm.keeper import metrics as keeper_metrics
from hookfarm.keeper import process as keeper_process
from hookfarm.keeper.process import Duty, Orders, Watched
from hookfarm.message_processor import telemetry as processor_telemetry
from hookfarm.metrics import Answering
from hookfarm.store import embedded_server, keys
from hookfarm.store.clients import unblock
from hookfarm.webhook_delivery import telemetry as delivery_telemetry
from hookfarm.webhook_delivery.sweep import SWEEP_SECONDS, Sweep

PROMOTE_SECONDS = 0.25
ROLL_CALL_SECONDS = 0.1
"""How soon a scrape is answered."""


def orders(config: Config, url: str, watched: Sequence[Watched], board: Board, run: str) -> Orders:
    """All that the keeper does; what the delivery processes need done is only for the farm that has them."""
    wake, heard = partial(_wake, board=board), _silence(board)
    answering = Duty("metrics", ROLL_CALL_SECONDS, _answering(watched, board).perform)
    always = (answering, *_stalls(board))
    if keys.WEBHOOK_DELIVERY not in board.services:
        return Orders(url, tuple(watched), always, wake, heard=heard)
    trimmer = LogTrimmer(config.delivery_log_attempts, config.delivery_log_age)
    sweep = Sweep(board.slots(keys.WEBHOOK_DELIVERY), run, partial(_count_orphan, board))
    duties = (
        Duty("promote", PROMOTE_SECONDS, delivery_queue.promote),
        Duty("sweep", SWEEP_SECONDS, sweep.perform),
        Duty("trim log", trimming.INTERVAL_SECONDS, trimmer.perform),
        Duty("tell", operational.EVERY_SECONDS, operational.tell),
        *always,
    )
    return Orders(url, tuple(watched), duties, wake, before=sweep.register, after=sweep.leave, heard=heard)


def _answering(watched: Sequence[Watched], board: Board) -> Answering:
    measures = {each.service: each.measure for each in watched if each.measure is not None}
    return Answering(partial(keeper_metrics.families, board, measures, keeper_process.SERVICE))


def _stalls(board: Board) -> tuple[Duty, ...]:
    if keys.EVENT_INGESTOR not in board.services:
        return ()
    keeper = board.slots(keeper_process.SERVICE)[0]
    found = Stalls(board.slots(keys.EVENT_INGESTOR), keeper, keeper_gauges.STALLS)
    return (Duty("stalls", STALLS_SECONDS, found.perform),)


def _count_orphan(board: Board, became: Orphan) -> None:
    index = keeper_gauges.ORPHANS if became is Orphan.QUEUED else keeper_gauges.WORKERS_LOST
    board.slots(keeper_process.SERVICE)[0].add(index)


def _silence(board: Board) -> Callable[["redis.RedisError | None"], None] | None:
    """Of an embedded server, for which there is a place on the board: it is given up by breaking its promise."""
    if embedded_server.SERVICE not in board.services:
        return None
    [slot] = board.slots(embedded_server.SERVICE)
    return embedded_server.HangDetector(give_up=partial(slot.promise, 0.0)).heard


def _wake(client: "redis.Redis", board: Board) -> None:
    """Frees those who are told to leave and block in Redis, so that they see it at once."""
    blocking = {
        keys.MESSAGE_PROCESSOR: processor_telemetry.blocking_clients,
        keys.WEBHOOK_DELIVERY: delivery_telemetry.polling_clients,
    }
    told = {s: [slot for slot in board.slots(s) if slot.told] for s in blocking if s in board.services}
    waiting = (blocking[service](slots) for service, slots in told.items())
    unblock(client, chain.from_iterable(waiting))
