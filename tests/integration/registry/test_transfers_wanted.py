"""Which chains' transfers are wanted: kept with the registry, asked for in the script that publishes."""

import asyncio
from typing import Any

import pytest

from hookfarm import event_stream
from hookfarm.event_stream import Checkpoint, Publication, StreamBlock
from hookfarm.event_stream.event_json import encode_events
from hookfarm.records import Endpoint, parse_endpoint
from hookfarm.registry.store import Registry
from hookfarm.store import keys
from hookfarm.store.clients import async_client
from tests.support.transfers import transfer

CHAIN = 7


def endpoint(*chains: int, kind: str = "transfer", base: Endpoint | None = None, **fields: Any) -> Endpoint:
    subscriptions = [{"chain_id": chain, "kind": kind} for chain in chains]
    return parse_endpoint({"url": "https://e.com/", "subscriptions": subscriptions, **fields}, str, base)


def wanted(client: Any) -> set[int]:
    """The chains, after comparing them with the key of each endpoint."""
    prefix = keys.TRANSFERS.encode()
    found = {int(key.removeprefix(prefix)): client.smembers(key) for key in client.keys(f"{keys.TRANSFERS}*")}
    returned = {
        name: set(map(int, chains.split())) for name, chains in client.hgetall(keys.TRANSFER_CHAINS).items()
    }
    assert returned == {
        name: {chain for chain, names in found.items() if name in names} for name in set().union(*found.values())
    }
    return set(found)


def publish(redis_url: str, number: int, *, with_transfers: bool) -> Publication:
    """The block of that number, onto the one before it."""

    async def run() -> Publication:
        async with async_client(redis_url) as connected:
            events = [transfer(chain_id=CHAIN, block_number=number)] if with_transfers else []
            before = None if number == 0 else Checkpoint(number - 1, f"0x{number - 1:064x}")
            parent = f"0x{number - 1:064x}" if number else ""
            block = StreamBlock(number, f"0x{number:064x}", parent, encode_events(events))
            return await event_stream.publish(connected, CHAIN, before, [block], with_transfers=with_transfers)

    return asyncio.run(run())


def test_each_change_of_an_endpoint_says_which_chains_it_wants(client: Any, registry: Registry) -> None:
    made = registry.add(endpoint(1, 2, 2))
    assert wanted(client) == {1, 2}
    registry.update(endpoint(2, 3, base=made))
    assert wanted(client) == {2, 3}
    registry.disable(made.id, "gone")
    assert wanted(client) == set()
    registry.edit(made.id, lambda base: parse_endpoint({"enabled": True}, str, base))
    assert wanted(client) == {2, 3}
    registry.edit(made.id, lambda base: endpoint(2, 3, kind="log", base=base))
    assert wanted(client) == set()
    registry.update(endpoint(5, base=made))
    registry.remove(made.id)
    assert wanted(client) == set()


def test_a_chain_is_wanted_until_the_last_endpoint_is_gone(client: Any, registry: Registry) -> None:
    first, second = registry.add(endpoint(1)), registry.add(endpoint(1))
    registry.rotate_secret(first.id)
    registry.remove(first.id)
    assert wanted(client) == {1}
    registry.remove(second.id)
    assert wanted(client) == set()


def test_a_change_that_is_not_made_changes_nothing(client: Any, registry: Registry) -> None:
    made = registry.add(endpoint(1))
    seen: list[Endpoint] = []

    def overtaken(base: Endpoint) -> Endpoint:
        if not seen:
            registry.update(endpoint(4, base=base))
        seen.append(base)
        return endpoint(*(each.chain_id + 1 for each in base.subscriptions), base=base)

    registry.edit(made.id, overtaken)
    assert len(seen) == 2
    assert wanted(client) == {5}


def test_blocks_without_transfers_are_refused_as_soon_as_an_endpoint_wants_them(
    client: Any, registry: Registry, redis_url: str
) -> None:
    assert publish(redis_url, 0, with_transfers=False) == Publication.DONE
    made = registry.add(endpoint(CHAIN))
    assert not publish(redis_url, 1, with_transfers=False).published
    assert client.get(keys.checkpoint(CHAIN)) == f"0:0x{0:064x}".encode()
    assert client.xlen(keys.events(CHAIN)) == 0
    assert publish(redis_url, 1, with_transfers=True) == Publication.DONE_TRANSFERS_WANTED
    assert client.xlen(keys.events(CHAIN)) == 1
    registry.remove(made.id)
    assert publish(redis_url, 2, with_transfers=True) == Publication.DONE
    assert publish(redis_url, 3, with_transfers=False) == Publication.DONE


def test_who_wants_transfers_of_another_chain_changes_nothing_for_this_one(
    registry: Registry, redis_url: str
) -> None:
    registry.add(endpoint(CHAIN + 1))
    registry.add(endpoint(CHAIN, kind="log"))
    assert publish(redis_url, 0, with_transfers=False) == Publication.DONE


def test_a_key_of_another_type_in_its_place_is_named(client: Any, redis_url: str) -> None:
    client.set(keys.transfers(CHAIN), "x")
    with pytest.raises(Exception, match=keys.transfers(CHAIN)):
        publish(redis_url, 0, with_transfers=True)
    assert client.exists(keys.checkpoint(CHAIN)) == 0
