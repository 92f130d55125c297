"""The index of a processor while it is built, and while the registry changes meanwhile."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import orjson
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hookfarm import logs
from hookfarm.farm.child import Child
from hookfarm.farm.scoreboard import Scoreboard, State
from hookfarm.matching.decoder import DecodedLogs
from hookfarm.message_processor import telemetry
from hookfarm.message_processor.live_index import LiveIndex
from hookfarm.message_processor.processor import Processor
from hookfarm.records import Endpoint, Event, Subscription
from hookfarm.registry import store
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from tests.support.matching import ERC20, TRANSFER, log

BATCH = 2
LOG = logs.get("test")
ADDRESSES = [f"0x{n:040x}" for n in range(3)]
NAMES = [f"ep_{n}" for n in range(12)]


def topic(number: int) -> str:
    return f"0x{number:064x}"


def transfers() -> Iterator[Event]:
    """Logs that differ in all that the subscriptions ask for."""
    for address in ADDRESSES:
        for to in range(3):
            for value in (1, 5, 9):
                yield log(address, (TRANSFER, topic(7), topic(to)), f"0x{value:064x}")


WANTED: list[tuple[dict[str, Any], Callable[[str, int, int], bool]]] = [
    ({}, lambda address, to, value: True),
    ({"addresses": (ADDRESSES[0],)}, lambda address, to, value: address == ADDRESSES[0]),
    ({"addresses": tuple(ADDRESSES[1:])}, lambda address, to, value: address != ADDRESSES[0]),
    *(({"where": f"to == 0x{n:040x}"}, lambda address, to, value, n=n: to == n) for n in range(3)),
    *(({"where": f"value >= {n}"}, lambda address, to, value, n=n: value >= n) for n in (1, 6)),
    *(
        (
            {"where": f"not (value == {n} or to == 0x{n:040x})"},
            lambda address, to, value, n=n: n not in (value, to),
        )
        for n in (0, 1, 5)
    ),
    ({"where": "value > "}, lambda address, to, value: False),
]
"""Subscriptions, one of them invalid, and which transfers they want."""

CHANGES = st.tuples(st.sampled_from(NAMES), st.sampled_from([*range(len(WANTED)), "disable", "remove", "garbage"]))


class ChangingRegistry:
    """The registry, and what must be matched of it."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.wanted: dict[str, int] = {}
        self._registry = Registry(client)

    def change(self, name: str, how: Any) -> None:
        self.wanted.pop(name, None)
        if isinstance(how, int):
            subscription = Subscription("sub_1", 1, event=ERC20, **WANTED[how][0])
            self._registry.update(Endpoint(name, "https://example.com/", subscriptions=(subscription,)))
            self.wanted[name] = how
        elif how == "disable":
            self._registry.update(Endpoint(name, "https://example.com/", enabled=False))
        else:
            self._registry.update(Endpoint(name, "https://example.com/"))
            if how == "remove":
                self._registry.remove(name)
            else:
                self.client.hset(keys.ENDPOINTS, name, "garbage")

    def matching(self, event: Event) -> list[str]:
        key = event["address"], int(event["topics"][2], 16), int(event["data"], 16)
        return sorted(name for name, how in self.wanted.items() if WANTED[how][1](*key))

    @property
    def revision(self) -> int:
        return int(self.client.get(keys.REGISTRY_REVISION) or 0)


def assert_equal(live: LiveIndex, registry: ChangingRegistry) -> None:
    for event in transfers():
        matched = live.index.match(event, DecodedLogs(event))
        assert sorted(each.endpoint for each in matched) == registry.matching(event)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(CHANGES, max_size=14), st.lists(CHANGES, max_size=10), st.lists(CHANGES, max_size=4))
def test_whatever_changes_while_the_registry_is_read_the_index_equals_it_after_the_next_refresh(
    client: redis.Redis,
    monkeypatch: pytest.MonkeyPatch,
    before: list[Any],
    meanwhile: list[Any],
    after: list[Any],
) -> None:
    monkeypatch.setattr(store, "BATCH_ENDPOINTS", BATCH)
    client.flushall()
    registry = ChangingRegistry(client)
    left = list(meanwhile)

    def change_one(_done: int, _total: int) -> None:
        if left:
            registry.change(*left.pop())

    for change in before:
        registry.change(*change)
    live = LiveIndex(client, LOG, change_one)
    live.reload()
    while left or live.revision != registry.revision:
        change_one(0, 0)
        live.follow(registry.revision)
    assert_equal(live, registry)
    for change in after:
        registry.change(*change)
    live.follow(registry.revision)
    assert_equal(live, registry)


def test_an_invalid_endpoint_among_thousands_is_reported_and_the_others_are_matched(
    client: redis.Redis, caplog: pytest.LogCaptureFixture
) -> None:
    registry = ChangingRegistry(client)
    registry.change("ep_bad", "garbage")
    with client.pipeline(transaction=False) as pipe:
        for number in range(2 * store.BATCH_ENDPOINTS):
            subscription = Subscription("sub_1", 1, event=ERC20, where=f"value == {number}")
            endpoint = Endpoint(f"ep_{number}", "https://example.com/", subscriptions=(subscription,))
            wrong = replace(endpoint, subscriptions=(replace(subscription, where="value == x"),))
            pipe.hset(keys.ENDPOINTS, endpoint.id, orjson.dumps((wrong if number == 700 else endpoint).stored()))
        pipe.execute()
    live = LiveIndex(client, LOG)
    with caplog.at_level("ERROR"):
        live.reload()
    reported = [(each.message, vars(each)["fields"]) for each in caplog.records]
    assert {message for message, _ in reported} == {"endpoint cannot be read", "subscription cannot be matched"}
    assert {fields["endpoint"] for _, fields in reported if "endpoint" in fields} == {"ep_bad"}
    assert any("ep_700" in fields["reason"] for _, fields in reported)
    assert live.index.endpoints == 2 * store.BATCH_ENDPOINTS - 1
    event = log(topics=(TRANSFER, topic(1), topic(2)), data=f"0x{999:064x}")
    assert [each.endpoint for each in live.index.match(event, DecodedLogs(event))] == ["ep_999"]


class WatchedProcessor(Processor):
    """A processor, and what it reported while it read the registry."""

    reported: list[tuple[int, str]]

    def _on_batch(self, done: int, total: int) -> None:
        super()._on_batch(done, total)
        slot = self._child.slot
        self.reported.append((telemetry.loaded(slot), slot.reason))
        assert slot.seconds_late() < 0


def test_a_processor_reports_how_far_it_is_until_it_has_read_all_endpoints(
    client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = ChangingRegistry(client)
    for name in NAMES:
        registry.change(name, 0)
    monkeypatch.setattr(store, "BATCH_ENDPOINTS", BATCH)
    child = Child(keys.MESSAGE_PROCESSOR, 0, Scoreboard({keys.MESSAGE_PROCESSOR: 1}))
    processor = WatchedProcessor(child, redis_url, (1,), "consumer")
    processor.reported = []
    processor.connect()
    first, *between, last = processor.reported
    assert first == (0, "loading endpoints 0 of 12")
    assert last == (12, "")
    assert all(0 < done < 12 and reason == f"loading endpoints {done} of 12" for done, reason in between)
    assert between
    processor.iterate()
    assert child.slot.state == State.UP
    registry.change("ep_0", 1)
    processor.iterate()
    assert processor.reported[-1] == (12, ""), "a change of a processor that is up is no loading"
    processor.close()
    child.close()
