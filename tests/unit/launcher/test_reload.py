"""What SIGHUP makes of the settings, decided without a farm."""

import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hookfarm import config
from hookfarm.api import process as api_process
from hookfarm.config import Address, ChainConfig, Config
from hookfarm.errors import CouldNotBoot, InvalidInput
from hookfarm.farm.plan import FarmPlan
from hookfarm.launcher.reload import Reload, changed, check_change, keep_slots

BEFORE = config.load({"state_dir": "/tmp/one"}, environment={})


def chains(*ids: int, url: str = "ws://node") -> tuple[ChainConfig, ...]:
    return tuple(ChainConfig(chain_id, (url,)) for chain_id in ids)


@pytest.mark.parametrize(
    ("before", "after", "places"),
    [
        ((), (1, 2), (1, 2)),
        ((1, 2), (2, 1), (1, 2)),
        ((1, 2), (2,), (2,)),
        ((1, 2), (2, 3), (3, 2)),
        ((1, 2, 3), (3, 2), (3, 2)),
        ((1, 2, 3), (3, 4), (3, 4)),
        ((1,), (3, 2, 1), (1, 3, 2)),
        ((1, 2), (), ()),
    ],
)
def test_a_chain_that_stays_keeps_its_place(
    before: tuple[int, ...], after: tuple[int, ...], places: tuple[int, ...]
) -> None:
    assert keep_slots(chains(*before), chains(*after)) == chains(*places)


def test_a_chain_that_stays_gets_its_new_urls() -> None:
    assert keep_slots(chains(1, 2), chains(2, 1, url="ws://other")) == chains(1, 2, url="ws://other")


def test_what_changed_is_named() -> None:
    after = replace(BEFORE, workers=7, retry_schedule=(1.0,))
    assert changed(BEFORE, after) == ["workers", "retry_schedule"]
    assert changed(BEFORE, BEFORE) == []


@pytest.mark.parametrize(
    ("setting", "value", "said"),
    [("redis_url", "redis://h:1", "redis-url"), ("state_dir", Path("/tmp/two"), "state-dir")],
)
def test_where_redis_is_cannot_change_under_a_running_farm(setting: str, value: Any, said: str) -> None:
    with pytest.raises(InvalidInput, match=f"^{said}: cannot change while the farm runs"):
        check_change(BEFORE, replace(BEFORE, **{setting: value}))


def test_everything_else_can() -> None:
    others: dict[str, Any] = {
        "workers": 3, "processors": 2, "chains": chains(1), "from_block": 5, "api": Address("127.0.0.1", 0),
        "allow_private": config.networks("10.0.0.0/8"), "ca_file": Path("/ca"), "retry_schedule": (1.0,),
        "grace_seconds": 3.0, "log_level": "debug", "log_format": "json",
    }  # fmt: skip
    after = replace(BEFORE, **others)
    check_change(BEFORE, after)
    assert set(changed(BEFORE, after)) == set(others)


def reload(read: Callable[[], Config], services: tuple[str, ...] = ("webhook_delivery",)) -> Reload:
    return Reload(BEFORE, services, read, lambda fresh: FarmPlan((), fresh.grace_seconds))


def test_a_reload_plans_what_it_has_read_and_compares_with_it_from_then_on() -> None:
    read = [replace(BEFORE, grace_seconds=3.0, chains=chains(2, 1)), replace(BEFORE, chains=chains(1, 3))]
    seen: list[Config] = []

    def plan(fresh: Config) -> FarmPlan:
        seen.append(fresh)
        return FarmPlan((), fresh.grace_seconds)

    reloading = Reload(BEFORE, (), lambda: read.pop(0), plan)
    first = reloading()
    assert first is not None
    assert first.grace_seconds == 3.0
    reloading()
    assert [fresh.chains for fresh in seen] == [chains(2, 1), chains(3, 1)]


def test_an_api_address_that_is_taken_is_refused_where_the_api_runs() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        moved = replace(BEFORE, api=Address("127.0.0.1", taken.getsockname()[1]))
        with pytest.raises(CouldNotBoot, match=r"^api: cannot listen on"):
            reload(lambda: moved, (api_process.SERVICE,))()
        assert reload(lambda: moved)() is not None


def test_a_farm_whose_terminal_is_gone_is_stopped() -> None:
    terminal, shown = os.openpty()
    kept = os.dup(0)
    os.dup2(shown, 0)
    os.close(shown)
    try:
        reloading = reload(lambda: BEFORE)
        assert reloading() is not None
        os.close(terminal)
        assert reloading() is None
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_a_farm_that_never_had_a_terminal_is_not() -> None:
    nothing, kept = os.open(os.devnull, os.O_RDONLY), [os.dup(n) for n in range(3)]
    for number in range(3):
        os.dup2(nothing, number)
    try:
        assert reload(lambda: BEFORE)() is not None
    finally:
        for number, file in enumerate(kept):
            os.dup2(file, number)
            os.close(file)
        os.close(nothing)
