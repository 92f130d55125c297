from datetime import UTC, datetime
from typing import Any

import pytest
from web3.exceptions import ProviderConnectionError

from hookfarm.chain.rpc import (
    RateLimited,
    Refused,
    http_answer,
    result_of,
    results_of,
    retry_after_seconds,
    unavailable,
)
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
    with pytest.raises(ChainUnavailable, match="eth_getLogs: not a JSON-RPC response"):
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


REFUSALS = {
    "Infura": (-32005, "query returned more than 10000 results. Try with this block range [0x1, 0x2]."),
    "Alchemy": (
        -32602,
        "Log response size exceeded. Based on your parameters this range works: [0x1, 0x2]",
    ),
    "QuickNode": (-32614, "eth_getLogs is limited to a 10,000 range"),
    "Ankr": (-32600, "block range is too wide"),
    "dRPC": (35, "ranges over 10000 blocks are not supported on freetier"),
    "geth": (-32602, "exceed maximum block range: 5000"),
}


@pytest.mark.parametrize("provider", REFUSALS)
def test_a_refused_range_is_no_rate_limit_in_whatever_words(provider: str) -> None:
    code, message = REFUSALS[provider]
    with pytest.raises(Refused):
        result_of(URL, "eth_getLogs", {"error": {"code": code, "message": message}})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (429, "Your app has exceeded its compute units per second capacity."),
        (-32007, "25/second request limit reached - reduce calls per second"),
        (-32005, "project ID request rate exceeded: daily request count exceeded, request rate limited"),
        (-32000, "Too Many Requests"),
        (-32029, "slow down"),
    ],
)
def test_a_rate_limit_is_told_from_other_errors(code: int, message: str) -> None:
    with pytest.raises(RateLimited):
        result_of(URL, "eth_getLogs", {"error": {"code": code, "message": message}})


def test_the_wait_that_an_error_names_is_taken() -> None:
    error = {"code": -32005, "message": "rate limited", "data": {"rate": {"backoff_seconds": 30}}}
    with pytest.raises(RateLimited) as caught:
        result_of(URL, "eth_getLogs", {"error": error})
    assert caught.value.retry_after_seconds == 30


REQUESTS = [{"id": 7, "method": "eth_chainId"}, {"id": 8, "method": "eth_blockNumber"}]


def test_the_answers_of_a_batch_are_put_in_order() -> None:
    answers = [{"id": 8, "result": "0x2"}, {"id": 7, "result": "0x1"}]
    assert results_of(URL, REQUESTS, answers) == ["0x1", "0x2"]


def test_what_is_missing_or_wrong_in_a_batch_is_a_value() -> None:
    refused, missing = results_of(URL, REQUESTS, [{"id": 7, "error": {"code": 1, "message": "no"}}])
    assert isinstance(refused, Refused)
    assert isinstance(missing, ChainUnavailable)


@pytest.mark.parametrize(
    "answer",
    [
        {"id": None, "error": {"code": -32600, "message": "batch too large"}},
        [{"id": None, "error": {"code": -32600, "message": "batch too large"}}],
    ],
)
def test_a_batch_refused_as_a_whole_is_refused(answer: Any) -> None:
    with pytest.raises(Refused, match="batch too large"):
        results_of(URL, REQUESTS, answer)


def test_status_429_is_a_rate_limit_with_the_time_it_names() -> None:
    with pytest.raises(RateLimited) as caught:
        http_answer(URL, 429, "7", b"slow down")
    assert caught.value.retry_after_seconds == 7


@pytest.mark.parametrize(("status", "kind"), [(413, Refused), (400, Refused), (503, ChainUnavailable)])
def test_other_statuses_are_told_by_their_number(status: int, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=f"HTTP {status}"):
        http_answer(URL, status, None, b"<html>")


def test_an_error_of_json_rpc_counts_under_any_status() -> None:
    assert http_answer(URL, 400, None, b'{"error":{"code":1}}') == {"error": {"code": 1}}


def test_an_answer_that_is_not_json_is_unavailable() -> None:
    with pytest.raises(ChainUnavailable, match="not JSON"):
        http_answer(URL, 200, None, b'[{"half')


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("120", 120),
        ("Sun, 22 Nov 2026 12:00:30 GMT", 30),
        ("Sun, 22 Nov 2026 11:00:00 GMT", 0),
        ("999999999", 3600),
        ("soon", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(header: str | None, seconds: float | None) -> None:
    assert retry_after_seconds(header, datetime(2026, 11, 22, 12, tzinfo=UTC)) == seconds
