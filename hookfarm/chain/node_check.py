"""A check of one node: what it serves, what that means for hookfarm, and the settings that fit.

The verdict is that of the Prover itself: it reads a sample of recent blocks with each value of `verify`, strongest
first. The other findings explain the verdict. The number of requests is bounded.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from statistics import median
from typing import Any, TypeVar

from hookfarm.chain.block import parse_head, parse_header, quantity
from hookfarm.chain.completeness import looks_capped
from hookfarm.chain.head_signal import HeadSignal
from hookfarm.chain.node import NULL_ROUND, Node, connect
from hookfarm.chain.node_pool import MAX_BATCH_CALLS, NodeProfile, TokenBucket
from hookfarm.chain.node_sample import (
    NOTE,
    OK,
    PROBLEM,
    BlockSample,
    Finding,
    NodeReport,
    judge,
    judge_head,
    judge_proof,
    judge_ranges,
    judge_speed,
    judge_tag,
    sample_of,
)
from hookfarm.chain.prover import Prover
from hookfarm.chain.rpc import RateLimited, Refused
from hookfarm.chain.timing import NodeTimeouts
from hookfarm.chain.websocket_connection import WebSocketConnection
from hookfarm.errors import ChainUnavailable
from hookfarm.records import CONFIRMATION_TAGS

T = TypeVar("T")

RANGES = (10, 100, 1_000, 10_000)
MAX_RANGE_LOGS = 20_000
"""Expected logs beyond which no wider range is requested."""
TRANSFER_BLOCKS = 3
SINGLE_RECEIPTS = 3
HEAD_SECONDS = 20.0
"""Wait for an announced head; HEAD_BLOCK_TIMES block times where blocks are slower."""
HEAD_BLOCK_TIMES = 3
RATE_LIMIT_TRIES = 3
RATE_LIMIT_SECONDS = 1.0
MAX_PAUSE_SECONDS = 5.0
BATCH_TRIES = 6
_PROOFS = (None, "receipts", "contiguous")
"""Values of `verify`, the strongest proof first; None = the default."""
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError)


async def check_node(
    url: str, blocks: int, on_progress: Callable[[str], None], head_seconds: float = HEAD_SECONDS
) -> NodeReport:
    """Check a node with a sample of its newest `blocks` blocks. Never raises ChainUnavailable."""
    check = _Check(url, blocks, on_progress, head_seconds)
    try:
        await check.run()
    except ChainUnavailable as error:
        check.add(PROBLEM, "connection", str(error), "hookfarm cannot use this node")
    except _MALFORMED as error:
        check.add(PROBLEM, "responses", f"malformed: {error!r:.100}", "hookfarm cannot use this node")
    return check.report


class _Check:
    def __init__(self, url: str, blocks: int, on_progress: Callable[[str], None], head_seconds: float) -> None:
        self.report = NodeReport()
        self._profile = NodeProfile(url, TokenBucket(None))
        self._blocks = blocks
        self._progress = on_progress
        self._head_seconds = head_seconds
        self._timeouts = NodeTimeouts()
        self._node: Node
        self._seconds: list[float] = []
        self._is_rate_limited = False
        self._refusals = {"eth_getLogs": "", "eth_getBlockReceipts": ""}
        self._head = 0
        self._block_seconds = 0.0

    def add(self, level: str, name: str, found: str, meaning: str) -> None:
        self.report.findings.append(Finding(level, name, found, meaning))

    async def run(self) -> None:
        """Make all findings. Raises ChainUnavailable, or an exception of _MALFORMED."""
        self._progress("connecting")
        self._node = await self._connect()
        try:
            await self._identity()
            await self._history()
            samples = await self._read_samples()
            self.report.findings += judge(samples)
            await self._receipts(samples)
            await self._proof(samples)
            await self._ranges(samples)
            await self._tags()
            await self._announced()
            await self._batches()
            self.report.findings += judge_speed(median(self._seconds), self._block_seconds, self._is_rate_limited)
        finally:
            await self._node.close()

    async def _connect(self) -> Node:
        return await connect(self._profile, self._timeouts, lambda _: None, self._count)

    def _count(self) -> None:
        self.report.requests += 1

    async def _patiently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Return the result of `call`, which is repeated while the node is over its rate limit."""
        for _ in range(RATE_LIMIT_TRIES):
            try:
                return await call()
            except RateLimited as error:
                self._is_rate_limited = True
                await asyncio.sleep(min(error.retry_after_seconds or RATE_LIMIT_SECONDS, MAX_PAUSE_SECONDS))
        return await call()

    async def _try(self, method: str, *parameters: object) -> Any:
        """Return the result of a call, a refusal as a value."""
        began = time.monotonic()
        try:
            result = await self._patiently(lambda: self._node.request(method, *parameters))
        except Refused as error:
            return error
        self._seconds.append(time.monotonic() - began)
        return result

    async def _block(self, number: int) -> Any:
        """Return a block by number; None if the node lacks it or sends another one. A null round is a Refused."""
        raw = await self._try("eth_getBlockByNumber", hex(number), False)
        if isinstance(raw, Refused):
            return raw if NULL_ROUND in str(raw) else None
        return raw if raw is not None and parse_header(raw).number == number else None

    # Identity and history

    async def _identity(self) -> None:
        self._progress("chain id and head")
        answer = await self._try("eth_chainId")
        if isinstance(answer, Refused):
            raise answer
        self.report.chain_id = quantity(answer)
        self.add(OK, "chain id", str(self.report.chain_id), "the id in the settings")
        version = await self._try("web3_clientVersion")
        self.add(
            OK, "client", version[:100] if isinstance(version, str) else "not reported", "the software of the node"
        )
        head = await self._try("eth_getBlockByNumber", "latest", False)
        if isinstance(head, Refused):
            raise head
        self._head = parse_head(head).number

    async def _history(self) -> None:
        self._progress("first block")
        if await self._block(0) is not None:
            self.add(OK, "first block", "block 0", "pinned: a node with another block 0 is refused")
        else:
            self.add(NOTE, "first block", "no block 0", "the first block that the node serves is pinned instead")
        first = await self._oldest()
        raw = await self._block(first)
        logs = await self._try("eth_getLogs", {"blockHash": raw["hash"]}) if isinstance(raw, dict) else []
        if first > 1:
            found = f"pruned: begins with block {first:,}, {self._head - first:,} below the head"
            self.add(NOTE, "history", found, "older blocks need another node")
        elif isinstance(logs, Refused):
            self.add(NOTE, "history", f"no logs of block {first}: {logs}", "backfills may need another node")
        else:
            self.add(OK, "history", "blocks and logs from block 1 on", "backfills can begin anywhere")

    async def _oldest(self) -> int:
        """Return the number of the oldest block but block 0, found by bisection."""
        low, high = 1, max(1, self._head)
        while low < high and await self._block(low) is None:
            low, middle = low + 1, (low + high) // 2
            if await self._block(middle) is None:
                low = middle + 1
            else:
                high = middle
        return low

    # Blocks, logs, receipts

    async def _read_samples(self) -> list[BlockSample]:
        numbers = range(max(0, self._head - self._blocks + 1), self._head + 1)
        samples: list[BlockSample] = []
        for place, number in enumerate(numbers, 1):
            self._progress(f"block {place} of {len(numbers)}")
            raw = await self._block(number)
            if isinstance(raw, dict):
                logs = await self._list("eth_getLogs", {"blockHash": raw["hash"]})
                receipts = await self._list("eth_getBlockReceipts", raw["hash"])
                samples.append(sample_of(self.report.chain_id or 0, raw, logs, receipts))
            elif raw is None and number > 0:
                raise ChainUnavailable(f"{self._profile.origin}: does not have block {number} below its head")
        null_rounds = len(numbers) - len(samples)
        if null_rounds and self._head:
            self.add(OK, "null rounds", f"{null_rounds} of {len(numbers)} numbers", "proven by the next block")
        if not samples:
            raise ChainUnavailable(f"{self._profile.origin}: none of {len(numbers)} blocks could be read")
        first, last = samples[0].header, samples[-1].header
        self._block_seconds = (last.timestamp - first.timestamp) / max(1, last.number - first.number)
        return samples

    async def _list(self, method: str, parameter: object) -> list[Any] | None:
        """Return the list from a source of logs; None from its first refusal on."""
        if self._refusals[method]:
            return None
        answer = await self._try(method, parameter)
        if isinstance(answer, list):
            return answer
        self._refusals[method] = f"{answer!s:.200}"
        return None

    async def _receipts(self, samples: Sequence[BlockSample]) -> None:
        """Report which sources of logs are served."""
        meanings = {
            "eth_getLogs": "receipts are the only source of logs",
            "eth_getBlockReceipts": "in doubt, receipts are read one by one",
        }
        for method, refusal in self._refusals.items():
            if refusal:
                self.add(NOTE, method, f"refused: {refusal}", meanings[method])
            else:
                self.add(OK, method, "served by block hash", "a source of each block's logs")
        hashes = [each for sample in samples for each in sample.transactions][:SINGLE_RECEIPTS]
        answers = [await self._try("eth_getTransactionReceipt", each) for each in hashes]
        if missing := sum(not isinstance(answer, dict) for answer in answers):
            found = f"{missing} of {len(answers)} not served"
            self.add(NOTE, "eth_getTransactionReceipt", found, "receipts may be no proof in doubt")
        elif answers:
            self.add(OK, "eth_getTransactionReceipt", "served", "the last source in doubt")

    async def _proof(self, samples: Sequence[BlockSample]) -> None:
        """Find the strongest value of `verify` with which the whole sample is proven."""
        numbers = [sample.header.number for sample in samples if sample.header.number > 0]
        proofs = _PROOFS[1:2] if self._refusals["eth_getLogs"] else _PROOFS
        # Without a proof, each event still needs an identity.
        unproven = () if any(sample.has_repeated_indices for sample in samples) else ("none",)
        doubt = ""
        for verify in (*proofs, *unproven):
            prover = Prover(self.report.chain_id or 0, verify)
            failure = await self._failure(prover, numbers, f"proof with {verify or 'the default'}")
            doubt = doubt or failure
            if not failure:
                self.report.verify = verify
                facts = [f"{len(numbers)} blocks", *(text for text, _ in prover.notices)]
                self.report.findings.append(judge_proof(facts, prover.repaired, verify, doubt))
                await self._transfers(verify, [s.header.number for s in samples if s.transactions])
                return
        self.add(PROBLEM, "proof", doubt, "hookfarm would wait at this block")

    async def _failure(self, prover: Prover, numbers: Sequence[int], what: str) -> str:
        """Return why the prover does not accept one of the blocks; empty if it accepts all."""
        for place, number in enumerate(numbers, 1):
            self._progress(f"{what}: block {place} of {len(numbers)}")
            try:
                await self._patiently(partial(prover.canonical, self._node, [number]))
            except RateLimited:
                raise
            except ChainUnavailable as error:
                return str(error)
        return ""

    async def _transfers(self, verify: str | None, numbers: Sequence[int]) -> None:
        prover = Prover(self.report.chain_id or 0, verify)
        prover.transfers = True
        failure = await self._failure(prover, numbers[-TRANSFER_BLOCKS:], "transfers")
        if failure:
            self.add(NOTE, "transfers", failure, "no subscriptions to native transfers on this node")
        elif numbers:
            self.add(OK, "transfers", "proven", "subscriptions to native transfers work")

    # Limits

    async def _ranges(self, samples: Sequence[BlockSample]) -> None:
        per_block = sum(len(sample.events) for sample in samples) / len(samples)
        accepted, refusal, capped = 0, "", 0
        widths = [width for width in RANGES if width <= self._head and width * per_block <= MAX_RANGE_LOGS]
        for width in widths:
            self._progress(f"a range of {width:,} blocks")
            span = {"fromBlock": hex(self._head - width), "toBlock": hex(self._head - 1)}
            logs = await self._try("eth_getLogs", span)
            if not isinstance(logs, list):
                refusal = f"{width:,} refused: {logs!s:.200}"
                break
            accepted, capped = width, len(logs) if looks_capped(len(logs)) else capped
        self.report.findings.append(judge_ranges(accepted, refusal, capped))

    async def _tags(self) -> None:
        self._progress("safe and finalized")
        for tag in CONFIRMATION_TAGS:
            answer = await self._try("eth_getBlockByNumber", tag, False)
            self.report.findings.append(judge_tag(tag, answer, self._head))

    async def _announced(self) -> None:
        if not self._profile.url.startswith("ws"):
            self.add(OK, "heads", "polled over HTTP", "a WebSocket URL announces them sooner")
            return
        signal = HeadSignal(lambda _: None)
        socket = WebSocketConnection(self._profile.url, signal, self._timeouts, lambda _: None, lambda *_: None)
        wait = max(self._head_seconds, HEAD_BLOCK_TIMES * self._block_seconds)
        self._progress(f"an announced head, at most {wait:.0f} s")
        try:
            await socket.open()
            before = await self._node.block_number()
            head = await signal.wait(wait)
        finally:
            await socket.close()
        if head is not None:
            number = parse_head(socket.announced).number
            self.report.findings.append(judge_head(await self._block(number), socket.announced))
        elif await self._node.block_number() > before + 1:
            self.add(PROBLEM, "heads", "new blocks are not announced", "use the node's HTTP URL")
        else:
            self.add(NOTE, "heads", f"no new block within {wait:.0f} s", "unknown: the chain is idle")

    async def _batches(self) -> None:
        """Send a batch until the node answers all of its calls; refusals reduce the size."""
        sizes = self._profile.batches
        for _ in range(BATCH_TRIES):
            self._progress(f"a batch of {sizes.calls} calls")
            try:
                if self._node.closed:
                    await self._node.close()
                    self._node = await self._connect()
                await self._node.request_all([("eth_chainId", [])] * MAX_BATCH_CALLS)
                break
            except RateLimited:
                self._is_rate_limited = True
                break
            except ChainUnavailable:
                continue
        if sizes.calls > 1:
            self.add(OK, "batches", f"{sizes.calls} calls", "few requests per block")
        else:
            self.add(NOTE, "batches", "refused", "each call is a request of its own")
