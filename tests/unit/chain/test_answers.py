from typing import Any

import pytest
from web3.exceptions import ProviderConnectionError

from hookfarm.chain.answers import result_of, unavailable
from hookfarm.errors import ChainUnavailable

URL = "https://user:canary-password@node.example:8545/v3/canary-key?token=canary-token"


@pytest.mark.parametrize("result", [None, [], "0x1", {"number": "0x1"}])
def test_the_result_is_what_the_answer_holds(result: object) -> None:
    assert result_of(URL, "eth_call", {"jsonrpc": "2.0", "id": 1, "result": result}) == result


def test_an_error_is_unavailable_with_node_method_code_and_message() -> None:
    answer = {"error": {"code": -32005, "message": "limit\nexceeded"}}
    with pytest.raises(ChainUnavailable) as caught:
        result_of(URL, "eth_getLogs", answer)
    assert str(caught.value) == "https://node.example:8545: eth_getLogs: -32005 limit exceeded"


@pytest.mark.parametrize("answer", [None, [], "ok", {}, {"error": "broken"}, {"jsonrpc": "2.0", "id": 1}])
def test_what_is_no_answer_is_unavailable(answer: Any) -> None:
    with pytest.raises(ChainUnavailable, match="eth_getLogs: no JSON-RPC answer"):
        result_of(URL, "eth_getLogs", answer)


def test_a_reason_is_the_innermost_one() -> None:
    try:
        try:
            raise ConnectionRefusedError(111, "Connect call failed")
        except OSError as cause:
            raise ProviderConnectionError(f"Could not connect to: {URL}") from cause
    except ProviderConnectionError as error:
        said = str(unavailable(URL, error))
    assert said == "https://node.example:8545: [Errno 111] Connect call failed"


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (TimeoutError(), "no answer in time"),
        (ConnectionResetError(), "ConnectionResetError"),
        (ValueError("not JSON"), "not JSON"),
    ],
)
def test_every_exception_has_a_reason(error: Exception, reason: str) -> None:
    assert str(unavailable(URL, error)) == f"https://node.example:8545: {reason}"


def test_nothing_of_a_url_but_its_origin_is_told() -> None:
    told = str(unavailable(URL, OSError(f"cannot open {URL}")))
    answer = {"error": {"code": 1, "message": f"upgrade at {URL}"}}
    with pytest.raises(ChainUnavailable) as caught:
        result_of(URL, "eth_chainId", answer)
    assert "canary" not in told + str(caught.value)
