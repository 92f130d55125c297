"""The metrics of a farm's processes."""

import os
import subprocess
import sys

from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.keeper import telemetry
from hookfarm.metrics import Family, gauge


def collected(scoreboard: Scoreboard, **measures: telemetry.Measure) -> dict[str, Family]:
    return {family.name: family for family in telemetry.families(scoreboard, measures, "keeper")}


def of(family: Family, service: str) -> object:
    [value] = [sample.value for sample in family.samples if sample.labels["service"] == service]
    return value


def test_a_service_is_measured_while_it_is_wanted() -> None:
    scoreboard = Scoreboard({"keeper": 1, "one": 2, "none": 0})
    measures = {name: lambda slots, name=name: [gauge(name, "", ({}, len(slots)))] for name in ("one", "none")}
    found = collected(scoreboard, **measures)
    assert found["one"].samples[0].value == 2
    assert "none" not in found


def test_processes_are_counted_by_service() -> None:
    scoreboard = Scoreboard({"keeper": 1, "one": 2})
    for slot in scoreboard.slots("one"):
        slot.on_fork(1)
        slot.on_forked(os.getpid())
    scoreboard.slots("one")[0].state = State.UP
    scoreboard.slots("one")[1].count_crash()
    scoreboard.slots("one")[1].on_fork(1)
    found = collected(scoreboard)
    assert of(found["hookfarm_processes_wanted"], "one") == 2
    assert of(found["hookfarm_processes_up"], "one") == 1
    assert of(found["hookfarm_processes_started"], "one") == 3
    assert of(found["hookfarm_processes_died"], "one") == 1


def test_memory_and_files_are_summed_and_who_is_gone_has_none() -> None:
    scoreboard = Scoreboard({"keeper": 1, "one": 3})
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for slot, pid in zip(scoreboard.slots("one"), (os.getpid(), os.getpid(), gone.pid), strict=True):
        slot.on_forked(pid)
    files = len(os.listdir("/proc/self/fd")) - 1
    found = collected(scoreboard)
    assert of(found["hookfarm_processes_open_fds"], "one") in (2 * files, 2 * (files + 1))
    resident = of(found["hookfarm_processes_resident_memory_bytes"], "one")
    assert isinstance(resident, int)
    assert 20e6 < resident < 2e9


def test_the_results_of_the_sweep_are_metrics_of_a_farm_with_delivery_processes() -> None:
    scoreboard = Scoreboard({"keeper": 1, "webhook_delivery": 1})
    scoreboard.slots("keeper")[0].add(telemetry.ORPHANS, 4)
    scoreboard.slots("keeper")[0].add(telemetry.WORKERS_LOST)
    found = collected(scoreboard)
    assert found["webhook_delivery_orphans_recovered"].samples[0].value == 4
    [dead] = found["webhook_delivery_dead_letters"].samples
    assert (dict(dead.labels), dead.value) == ({"reason": "worker_lost"}, 1)
    assert "webhook_delivery_orphans_recovered" not in collected(Scoreboard({"keeper": 1}))
