"""The registry against a real server."""

import threading
from dataclasses import replace
from typing import Any

import orjson
import pytest

from hookfarm.errors import NotFound
from hookfarm.records import Endpoint, Subscription, parse_endpoint
from hookfarm.registry.store import ROTATION_SECONDS, Registry, RegistryChanges
from hookfarm.store import keys
from tests.support.redis_server import RedisServer


def endpoint(name: str = "a") -> Endpoint:
    return Endpoint(f"ep_{name}", "https://example.com/")


def endpoints_of(changes: RegistryChanges) -> dict[str, Endpoint | None]:
    return {name: each for batch in changes.batches for name, each in batch.endpoints.items()}


def revision(client: Any) -> int:
    return int(client.get(keys.REGISTRY_REVISION) or 0)


def test_an_added_endpoint_has_a_secret_and_is_found_again(registry: Registry) -> None:
    added = registry.add(endpoint())
    [(secret, expires)] = added.secrets
    assert secret.startswith("whsec_")
    assert expires is None
    assert registry.get("ep_a") == added
    assert registry.all() == [added]


def test_endpoints_added_in_one_go_are_stored_as_one_by_one(client: Any, registry: Registry) -> None:
    client.script_flush()
    before = registry.changes_since(0).revision
    wanted = [replace(endpoint(name), max_in_flight=2, subscriptions=following(1).subscriptions) for name in "abc"]
    added = registry.add_all(wanted)
    assert added == [replace(each, secrets=stored.secrets) for each, stored in zip(wanted, added, strict=True)]
    assert registry.all() == added
    assert len({each.secrets for each in added}) == 3
    assert sorted(endpoints_of(registry.changes_since(before))) == ["ep_a", "ep_b", "ep_c"]
    assert client.hget(keys.ENDPOINT_LIMITS, "ep_b") == b"0 2 0 0"
    assert registry.add_all([]) == []


def following(*chains: int) -> Endpoint:
    wanted = tuple(Subscription(f"sub_{n}", chain) for n, chain in enumerate(chains))
    return replace(endpoint(), subscriptions=wanted)


def test_a_change_is_in_effect_from_the_block_after_the_checkpoint(client: Any, registry: Registry) -> None:
    client.set(keys.checkpoint(1), f"9:0x{'ab' * 32}")
    client.set(keys.checkpoint(2), f"{2**53 - 2}:0x{'ab' * 32}")
    assert registry.add(following(1, 2, 3, 1)).effective_from == {1: 10, 2: 2**53 - 1, 3: None}
    client.set(keys.checkpoint(1), f"19:0x{'ab' * 32}")
    assert registry.edit("ep_a", lambda e: replace(e, description="new")).effective_from == {
        1: 20,
        2: 2**53 - 1,
        3: None,
    }
    assert registry.update(following(1)).effective_from == {1: 20}
    assert registry.edit("ep_a", lambda e: replace(e, enabled=False)).effective_from == {}
    assert registry.get("ep_a").effective_from is None
    assert b"effective" not in (client.hget(keys.ENDPOINTS, "ep_a") or b"")


def test_each_subscription_shows_from_which_block_it_is_in_effect(client: Any, registry: Registry) -> None:
    client.set(keys.checkpoint(1), f"9:0x{'ab' * 32}")
    shown = orjson.loads(orjson.dumps(registry.add(following(1, 2)).public()))["subscriptions"]
    assert [each["effective_from_block"] for each in shown] == [10, None]
    again = parse_endpoint({"subscriptions": shown}, str, registry.get("ep_a"))
    assert again == registry.get("ep_a"), "an answer can't be sent back"
    assert "effective_from_block" not in registry.get("ep_a").public()["subscriptions"][0]
    disabled = registry.edit("ep_a", lambda e: replace(e, enabled=False)).public()["subscriptions"]
    assert [each["effective_from_block"] for each in disabled] == [None, None]


@pytest.mark.parametrize("foreign", [b"", b"garbage", b"-1:0x", b"9" * 5000 + b":0x", b"\xff:", b"7"])
def test_a_checkpoint_that_is_none_says_nothing_and_stops_nothing(
    client: Any, registry: Registry, foreign: bytes
) -> None:
    client.set(keys.checkpoint(1), foreign)
    client.rpush(keys.checkpoint(2), "a list")
    assert registry.add(following(1, 2)).effective_from == {1: None, 2: None}
    assert registry.get("ep_a") == registry.all()[0]


def test_endpoints_are_listed_by_id(registry: Registry) -> None:
    for name in ("b", "c", "a"):
        registry.add(endpoint(name))
    assert [found.id for found in registry.all()] == ["ep_a", "ep_b", "ep_c"]


def test_what_is_not_there_is_said_not_to_be(registry: Registry) -> None:
    moves = (registry.get, registry.remove, registry.rotate_secret, lambda i: registry.disable(i, ""),
             lambda i: registry.edit(i, lambda e: e))  # fmt: skip
    for move in moves:
        with pytest.raises(NotFound, match="endpoint 'ep_missing' not found"):
            move("ep_missing")
    assert endpoints_of(registry.changes_since(0)) == {}


def test_a_rotated_secret_stays_beside_the_new_one_for_a_day(registry: Registry) -> None:
    added = registry.add(endpoint())
    rotated = registry.rotate_secret("ep_a", now=1000.0)
    (new, forever), (old, until) = rotated.secrets
    assert new != old == added.secrets[0][0]
    assert (forever, until) == (None, 1000.0 + ROTATION_SECONDS)
    assert len(registry.rotate_secret("ep_a").secrets) == 2
    assert registry.get("ep_a").secrets[1][0] == new


def test_disabling_says_why_and_keeps_the_rest(registry: Registry) -> None:
    added = registry.add(endpoint())
    registry.disable("ep_a", "gone")
    assert registry.get("ep_a") == replace(added, enabled=False, disabled_reason="gone")


def test_every_change_has_a_revision_of_its_own(client: Any, registry: Registry) -> None:
    seen = [revision(client)]
    for change in (
        lambda: registry.add(endpoint()), lambda: registry.update(endpoint()), lambda: registry.add(endpoint()),
        lambda: registry.rotate_secret("ep_a"), lambda: registry.disable("ep_a", "x"),
        lambda: registry.remove("ep_a"),
    ):  # fmt: skip
        change()
        seen.append(revision(client))
    assert seen == sorted(set(seen))
    assert b"e+" not in client.get(keys.REGISTRY_REVISION)


def test_a_reader_gets_only_changes(client: Any, registry: Registry) -> None:
    for name in "abc":
        registry.add(endpoint(name))
    first = registry.changes_since(0)
    assert first.complete
    assert sorted(endpoints_of(first)) == ["ep_a", "ep_b", "ep_c"]
    assert first.revision == revision(client)
    nothing = registry.changes_since(first.revision)
    assert (nothing.revision, endpoints_of(nothing), nothing.complete) == (first.revision, {}, False)
    registry.disable("ep_b", "x")
    registry.remove("ep_c")
    second = registry.changes_since(first.revision)
    assert not second.complete
    assert endpoints_of(second) == {"ep_b": registry.get("ep_b"), "ep_c": None}
    assert endpoints_of(registry.changes_since(second.revision)) == {}


def test_an_endpoint_that_was_changed_twice_is_returned_once(registry: Registry) -> None:
    registry.add(endpoint())
    known = registry.changes_since(0).revision
    registry.disable("ep_a", "x")
    registry.edit("ep_a", lambda e: replace(e, description="new"))
    [(name, changed)] = endpoints_of(registry.changes_since(known)).items()
    assert changed == registry.get(name)


def test_an_empty_registry_has_no_changes(registry: Registry) -> None:
    changes = registry.changes_since(0)
    assert (changes.revision, endpoints_of(changes), changes.complete) == (0, {}, True)


@pytest.mark.parametrize("refilled", [False, True])
def test_after_a_flush_a_reader_gets_everything(client: Any, registry: Registry, refilled: bool) -> None:
    for name in "abc":
        registry.add(endpoint(name))
    known = registry.changes_since(0).revision
    client.flushall()
    if refilled:
        registry.add(endpoint("b"))
    changes = registry.changes_since(known)
    assert changes.complete
    assert sorted(endpoints_of(changes)) == (["ep_b"] if refilled else [])
    assert changes.revision == revision(client)


def test_when_a_server_lost_its_newest_writes_a_reader_gets_everything(client: Any, registry: Registry) -> None:
    registry.add(endpoint("a"))
    before = client.dump(keys.ENDPOINTS), client.dump(keys.REGISTRY_CHANGES), client.get(keys.REGISTRY_REVISION)
    registry.add(endpoint("b"))
    known = registry.changes_since(0).revision
    client.restore(keys.ENDPOINTS, 0, before[0], replace=True)
    client.restore(keys.REGISTRY_CHANGES, 0, before[1], replace=True)
    client.set(keys.REGISTRY_REVISION, before[2])
    changes = registry.changes_since(known)
    assert changes.complete
    assert sorted(endpoints_of(changes)) == ["ep_a"]


def test_a_change_made_meanwhile_is_not_undone(registry: Registry) -> None:
    added = registry.add(endpoint())
    seen: list[Endpoint] = []

    def slow(current: Endpoint) -> Endpoint:
        seen.append(current)
        if len(seen) == 1:
            registry.rotate_secret("ep_a")
        return replace(current, description="changed")

    registry.edit("ep_a", slow)
    stored = registry.get("ep_a")
    assert stored.description == "changed"
    assert stored.secrets[1][0] == added.secrets[0][0]
    assert len(seen) == 2


def test_an_endpoint_removed_meanwhile_does_not_come_back(client: Any, registry: Registry) -> None:
    registry.add(endpoint())

    def slow(current: Endpoint) -> Endpoint:
        registry.remove("ep_a")
        return current

    with pytest.raises(NotFound):
        registry.edit("ep_a", slow)
    assert registry.all() == []
    assert client.hlen(keys.ENDPOINTS) == 0


def test_concurrent_changes_are_all_kept_and_all_returned(redis_server: RedisServer, client: Any) -> None:
    registry = Registry(client)
    for name in "abcd":
        registry.add(endpoint(name))
    known = registry.changes_since(0).revision
    returned: set[str] = set()

    def change(index: int) -> None:
        with redis_server.client() as own:
            for number in range(25):
                name = f"ep_{'abcd'[(index + number) % 4]}"
                Registry(own).edit(name, lambda e: replace(e, description=e.description + "."))

    threads = [threading.Thread(target=change, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        changes = registry.changes_since(known)
        returned |= set(endpoints_of(changes))
        assert changes.revision >= known
        known = changes.revision
    returned |= set(endpoints_of(registry.changes_since(known)))
    assert sum(len(found.description) for found in registry.all()) == 100
    assert returned == {"ep_a", "ep_b", "ep_c", "ep_d"}
    assert client.zscore(keys.REGISTRY_CHANGES, client.zrange(keys.REGISTRY_CHANGES, -1, -1)[0]) == revision(
        client
    )


def test_the_script_is_taught_again_after_a_flush(client: Any, registry: Registry) -> None:
    registry.add(endpoint())
    client.script_flush()
    registry.disable("ep_a", "x")
    assert not registry.get("ep_a").enabled
