import pytest

from hookfarm.devchain.rpc import parse_message
from hookfarm.devchain.rpc_errors import RpcError
from tests.unit.devchain.rpc_calls import call, node_of, send


@pytest.mark.parametrize(("raw", "code"), [("{bad", -32700), ("", -32700), ("[]", -32600)])
def test_message_that_is_no_request_is_refused_as_a_whole(raw: str, code: int) -> None:
    with pytest.raises(RpcError) as raised:
        parse_message(raw)
    assert raised.value.response(None)["error"]["code"] == code


@pytest.mark.parametrize(
    "request_",
    [
        5,
        "eth_chainId",
        None,
        {},
        {"jsonrpc": "2.0", "id": 1},
        {"id": 1, "method": "eth_chainId"},
        {"jsonrpc": "1.0", "id": 1, "method": "eth_chainId"},
        {"jsonrpc": "2.0", "id": 1, "method": 5},
        {"jsonrpc": "2.0", "id": {"a": 1}, "method": "eth_chainId"},
    ],
)
def test_malformed_request_is_answered_with_invalid_request(request_: object) -> None:
    assert send(node_of(0), request_)["error"]["code"] == -32600


def test_unknown_method_is_named() -> None:
    code, message = call(node_of(0), "eth_sendRawTransaction")
    assert code == -32601
    assert "eth_sendRawTransaction" in message


@pytest.mark.parametrize("params", [{}, "x", 5])
def test_params_must_be_a_list(params: object) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": params}
    assert send(node_of(0), request)["error"]["code"] == -32602


@pytest.mark.parametrize("extra", [{}, {"params": None}, {"params": []}])
def test_params_may_be_left_out(extra: dict[str, object]) -> None:
    request = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId"} | extra
    assert send(node_of(0), request)["result"] == "0x7a69"


@pytest.mark.parametrize("request_id", [0, 7, "seven", None])
def test_answer_carries_the_id_of_its_request(request_id: object) -> None:
    request = {"jsonrpc": "2.0", "id": request_id, "method": "eth_chainId"}
    assert send(node_of(0), request)["id"] == request_id


def test_notification_gets_no_answer_but_is_executed() -> None:
    node = node_of(0)
    assert send(node, {"jsonrpc": "2.0", "method": "devchain_mine", "params": [2]}) is None
    assert node.chain.head.number == 2


def test_batch_is_answered_in_order_without_its_notifications() -> None:
    request = {"jsonrpc": "2.0", "method": "eth_blockNumber"}
    answers = send(node_of(3), [request | {"id": 1}, request, 5, request | {"id": "b"}])
    assert [each["id"] for each in answers] == [1, None, "b"]
    assert answers[0]["result"] == "0x3"
    assert answers[1]["error"]["code"] == -32600


def test_batch_of_notifications_only_gets_no_answer() -> None:
    assert send(node_of(0), [{"jsonrpc": "2.0", "method": "eth_blockNumber"}]) is None


def test_calls_are_counted_by_method() -> None:
    node = node_of(0)
    call(node, "eth_chainId")
    send(node, [{"jsonrpc": "2.0", "id": i, "method": "eth_blockNumber"} for i in range(3)])
    assert node.stats()["methods"] == {"eth_chainId": 1, "eth_blockNumber": 3}
