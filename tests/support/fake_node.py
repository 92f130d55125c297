"""A node without a network: answers calls from a made-up chain, with scripted faults."""

import asyncio
from collections.abc import Sequence
from typing import Any

from hookfarm.chain.block import Header, parse_header
from hookfarm.chain.head_signal import FinalityTags, HeadSignal
from hookfarm.chain.node import Node
from hookfarm.chain.node_pool import NodeProfile, TokenBucket
from hookfarm.chain.rpc import Call, Refused
from hookfarm.devchain.queries import parse_log_filter
from hookfarm.errors import ChainUnavailable
from tests.support.chain_samples import full_block, raw_header, receipts


class FakeNode(Node):
    """A node with blocks 1 to `head` of `logs` logs each; `logs_of` overrides the logs of a block."""

    def __init__(self, head: int = 100, logs: int = 2) -> None:
        self.profile = NodeProfile("http://fake", TokenBucket(None))
        self.origin = "http://fake"
        self.hedge = None
        self._head_signal = HeadSignal(lambda _: None)
        self.tags = FinalityTags(1e9)
        self.tags.due()
        self.chain = {number: full_block(number, logs) for number in range(1, head + 1)}
        self.answered: dict[int, list[dict[str, Any]]] = {}
        self.receipts: dict[int, Any] = {}
        self.receipts_supported = True
        self.longest_range = 10_000
        self.most_logs = 10**9
        self.most_addresses = 10**9
        self.unfiltered_only = False
        self.left_out: set[int] = set()
        self.most_whole_blocks = 10_000
        self.whole: dict[int, Any] = {}
        self.blooms: dict[int, str | None] = {}
        self.failing: set[int] = set()
        self.requests: list[list[Call]] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.held = asyncio.Event()
        self.held.set()
        self.lost = False

    @property
    def closed(self) -> bool:
        return self.lost

    @property
    def newest_head(self) -> None:
        return None

    def header_of(self, number: int) -> Header:
        return self.chain[number][0]

    def asked(self, method: str) -> int:
        return sum(call[0] == method for calls in self.requests for call in calls)

    async def request(self, method: str, *parameters: object) -> Any:
        [answer] = await self.request_all([(method, list(parameters))])
        if isinstance(answer, ChainUnavailable):
            raise answer
        return answer

    async def headers(self, numbers: Sequence[int]) -> list[Header]:
        self.requests.append([("eth_getBlockByNumber", [number]) for number in numbers])
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await self.held.wait()
            await asyncio.sleep(0)
        finally:
            self.in_flight -= 1
        for number in numbers:
            if number in self.failing:
                raise ChainUnavailable(f"block {number} not found")
        return [self.header_of(number) for number in numbers]

    async def raw_blocks(self, numbers: Sequence[int], *, whole: bool) -> list[tuple[Header, Any]]:
        self.requests.append([("eth_getBlockByNumber", [number, whole]) for number in numbers])
        if len(numbers) > self.most_whole_blocks:
            raise Refused("-32003 response too large")
        blocks = [self._whole(number) for number in numbers]
        return [(parse_header(block), block) for block in blocks]

    async def request_all(self, calls: Sequence[Call]) -> list[Any]:
        self.requests.append(list(calls))
        return [self._answer(method, parameters) for method, parameters in calls]

    def _answer(self, method: str, parameters: list[Any]) -> Any:
        if method == "eth_blockNumber":
            return hex(max(self.chain))
        if method == "eth_getLogs" and "blockHash" in parameters[0]:
            return self._logs(int(parameters[0]["blockHash"], 16))
        if method == "eth_getLogs":
            criteria = parameters[0]
            found = self._range(int(criteria["fromBlock"], 16), int(criteria["toBlock"], 16))
            return found if isinstance(found, Refused) else self._filtered(criteria, found)
        if method in ("eth_getBlockByHash", "eth_getBlockByNumber"):
            return self._whole(int(parameters[0], 16))
        if method == "eth_getTransactionReceipt":
            wanted = parameters[0]
            found = [each for each in self._receipts(int(wanted, 16) // 1000) or () if each is not None]
            return next((each for each in found if each["transactionHash"] == wanted), None)
        if not self.receipts_supported:
            return Refused("the method eth_getBlockReceipts does not exist")
        return self._receipts(int(parameters[0], 16))

    def _receipts(self, number: int) -> Any:
        return self.receipts[number] if number in self.receipts else receipts(*self.chain[number])

    def _whole(self, number: int) -> Any:
        """The block; the transactions of one that is not made up are the hashes of those with logs."""
        if number in self.whole:
            return self.whole[number]
        of, logs = self.chain[number]
        hashes = [each["transactionHash"] for each in receipts(of, logs)]
        return {**raw_header(of), "transactions": hashes}

    def _logs(self, number: int) -> Any:
        return self.answered[number] if number in self.answered else self.chain[number][1]

    def _filtered(self, criteria: Any, logs: list[Any]) -> Any:
        """The logs that a filter matches, without those of the blocks that are left out of such answers."""
        wanted = parse_log_filter(criteria)
        if wanted.matches_all:
            return logs
        if self.unfiltered_only or len(wanted.addresses) > self.most_addresses:
            return Refused("-32602 exceed max addresses or topics per search position")
        told = [each for each in logs if int(each["blockNumber"], 16) not in self.left_out]
        return [each for each in told if wanted.matches(each | {"address": each["address"].lower()})]

    def _range(self, first: int, last: int) -> Any:
        if last - first + 1 > self.longest_range:
            return Refused(f"-32602 range is too long, try {hex(first)}-{hex(last)}")
        there = [number for number in range(first, last + 1) if number in self.chain]
        logs = [each for number in there for each in self._logs(number)]
        return logs[: self.most_logs]
