from typing import Any

import pytest

from hookfarm.devchain.chain import DevchainOptions
from hookfarm.devchain.methods import Subscriptions
from hookfarm.devchain.node import DevNode
from hookfarm.devchain.rpc_errors import RpcError
from hookfarm.devchain.serializers import header_json, logs_json
from hookfarm.devchain.transaction import TRANSFER_TOPIC

Announced = list[tuple[str, Any]]


def listening_node() -> tuple[DevNode, Subscriptions, Announced]:
    node = DevNode(DevchainOptions(logs_per_block=2))
    announced: Announced = []

    def send(notification: dict[str, Any]) -> None:
        assert notification["jsonrpc"] == "2.0"
        assert notification["method"] == "eth_subscription"
        params = notification["params"]
        announced.append((params["subscription"], params["result"]))

    subscriptions = Subscriptions(send)
    node.listeners.add(subscriptions.announce)
    return node, subscriptions, announced


def test_each_new_head_is_announced_with_its_header() -> None:
    node, subscriptions, announced = listening_node()
    subscription = subscriptions.subscribe("newHeads")
    blocks = node.mine(3)
    assert announced == [(subscription, header_json(block)) for block in blocks]


def test_reorg_announces_every_new_block_as_a_head() -> None:
    node, subscriptions, announced = listening_node()
    node.mine(3)
    subscriptions.subscribe("newHeads")
    change = node.reorg(2, length=3)
    assert [head["hash"] for _, head in announced] == [block.hash for block in change.added]


def test_log_subscription_announces_matching_logs() -> None:
    node, subscriptions, announced = listening_node()
    every = subscriptions.subscribe("logs", {"topics": ["0x" + TRANSFER_TOPIC.hex()]})
    subscriptions.subscribe("logs", {"topics": ["0x" + "00" * 32]})
    [block] = node.mine()
    assert announced == [(every, log) for log in logs_json(block)]


def test_reorg_announces_removed_logs_before_the_new_ones() -> None:
    node, subscriptions, announced = listening_node()
    node.mine(2)
    subscriptions.subscribe("logs")
    change = node.reorg(1)
    gone = [log | {"removed": True} for log in logs_json(change.removed[0])]
    assert [log for _, log in announced] == gone + logs_json(change.added[0])


def test_nothing_is_announced_after_unsubscribe() -> None:
    node, subscriptions, announced = listening_node()
    for subscription in (subscriptions.subscribe("newHeads"), subscriptions.subscribe("logs")):
        assert subscriptions.unsubscribe(subscription) is True
    node.mine()
    assert announced == []


@pytest.mark.parametrize("subscription", ["0x1", "", None, ["0x1"]])
def test_unknown_subscription_cannot_be_ended(subscription: object) -> None:
    with pytest.raises(RpcError):
        listening_node()[1].unsubscribe(subscription)


@pytest.mark.parametrize(("kind", "criteria"), [("newBlocks", None), (["newHeads"], None), ("logs", "all")])
def test_unknown_kind_of_subscription_is_refused(kind: object, criteria: object) -> None:
    with pytest.raises(RpcError):
        listening_node()[1].subscribe(kind, criteria)


def test_dropped_heads_are_not_announced() -> None:
    node, subscriptions, announced = listening_node()
    subscriptions.subscribe("newHeads")
    node.set_fault("dropped_heads", count=2)
    node.mine(3)
    assert [head["number"] for _, head in announced] == ["0x3"]


def test_duplicated_heads_are_announced_twice() -> None:
    node, subscriptions, announced = listening_node()
    subscriptions.subscribe("newHeads")
    node.set_fault("duplicated_heads", count=1)
    node.mine(2)
    assert [head["number"] for _, head in announced] == ["0x1", "0x1", "0x2"]


def test_silent_node_announces_neither_heads_nor_logs() -> None:
    node, subscriptions, announced = listening_node()
    subscriptions.subscribe("newHeads")
    subscriptions.subscribe("logs")
    node.set_fault("silence")
    node.mine(2)
    assert announced == []


def test_a_swapped_head_is_announced_after_its_successor() -> None:
    node, subscriptions, announced = listening_node()
    subscriptions.subscribe("newHeads")
    node.set_fault("swapped_heads", count=1)
    node.mine(4)
    assert [int(head["number"], 16) for _, head in announced] == [2, 1, 3, 4]
