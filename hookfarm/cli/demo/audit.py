"""The demo's audit: a comparison of the chain's logs with the verified webhooks."""

import http.client
import itertools
from collections import OrderedDict
from collections.abc import Iterable
from typing import Any

import orjson

from hookfarm.cli.live.view_model import ViewModel
from hookfarm.cli.output import count, duration, elapsed
from hookfarm.errors import ChainUnavailable

TIMEOUT_SECONDS = 10.0
MAX_BLOCKS = 50
"""Blocks per request for logs."""
MAX_SETTLED = 100_000
"""Verified webhooks kept to detect repeated ones."""


class DeliveryAudit:
    """Counter of emitted logs and verified webhooks; a log is verified once both have arrived, in either order.

    A webhook with a known id counts as `repeated`: delivery is at least once. A webhook without a log, or a second
    id for one log, counts as `unknown`: an error.
    """

    def __init__(self) -> None:
        self.emitted = 0
        self.verified = 0
        self.repeated = 0
        self._owed: OrderedDict[str, None] = OrderedDict()
        self._early: OrderedDict[str, str] = OrderedDict()
        self._settled: OrderedDict[str, str] = OrderedDict()
        self._contradicted = 0

    @property
    def missing(self) -> list[str]:
        """Logs without a verified webhook, oldest first."""
        return list(self._owed)

    @property
    def unknown(self) -> int:
        return len(self._early) + self._contradicted

    @property
    def is_complete(self) -> bool:
        """Whether every log has a webhook, and every webhook a log."""
        return self.verified == self.emitted and not self.unknown

    def add_logs(self, logs: Iterable[str]) -> None:
        """Add logs of the chain, each once, as `<block hash>:<log index>`."""
        for log in logs:
            self.emitted += 1
            if log in self._early:
                self._settle(log, self._early.pop(log))
            else:
                self._owed[log] = None

    def add_webhook(self, log: str, webhook_id: str) -> None:
        """Add a verified webhook that carries `log`."""
        if log in self._owed:
            del self._owed[log]
            self._settle(log, webhook_id)
            return
        known = self._settled.get(log) or self._early.get(log)
        if known is None:
            self._early[log] = webhook_id
        elif known == webhook_id:
            self.repeated += 1
        else:
            self._contradicted += 1

    def _settle(self, log: str, webhook_id: str) -> None:
        self.verified += 1
        self._settled[log] = webhook_id
        if len(self._settled) > MAX_SETTLED:
            self._settled.popitem(last=False)


class DemoChain:
    """JSON-RPC client of the devchain. Raises ChainUnavailable if it does not answer."""

    def __init__(self, host: str, port: int) -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
        self._ids = itertools.count(1)

    def pause(self) -> None:
        """Stop making blocks."""
        self._call("devchain_pause")

    def begin(self) -> None:
        """Make the first block now, and then one per block time."""
        self._call("devchain_mine")
        self._call("devchain_resume")

    def head(self) -> int:
        return int(self._call("eth_blockNumber"), 16)

    def logs(self, first: int, last: int) -> list[str]:
        """Return the logs of the blocks from `first` to `last`, as `<block hash>:<log index>`."""
        found: list[str] = []
        for start in range(first, last + 1, MAX_BLOCKS):
            end = min(last, start + MAX_BLOCKS - 1)
            raw = self._call("eth_getLogs", {"fromBlock": hex(start), "toBlock": hex(end)})
            found += (f"{log['blockHash']}:{int(log['logIndex'], 16)}" for log in raw)
        return found

    def close(self) -> None:
        self._connection.close()

    def _call(self, method: str, *parameters: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": parameters}
        try:
            self._connection.request("POST", "/", orjson.dumps(request), {"Content-Type": "application/json"})
            answer = orjson.loads(self._connection.getresponse().read())
        except (OSError, http.client.HTTPException, orjson.JSONDecodeError) as error:
            self._connection.close()
            raise ChainUnavailable(f"devchain: {method}: {error or type(error).__name__}") from error
        if "error" in answer:
            raise ChainUnavailable(f"devchain: {method}: {answer['error'].get('message')}")
        return answer["result"]


def summary(logs: DeliveryAudit, last: ViewModel, blocks: int) -> str:
    """Return the final numbers as lines of text."""
    rows = [
        ("emitted on chain", count(logs.emitted), _blocks(blocks, last.seconds)),
        ("delivered and verified", count(logs.verified), "each log by a webhook with a valid signature"),
    ]
    if logs.repeated:
        rows.append(("delivered again", count(logs.repeated), "with the same webhook-id"))
    if last.failed_attempts:
        rows.append(("failed attempts", count(last.failed_attempts), "retried"))
    width = max(len(number) for _, number, _ in rows)
    lines = [f"  {label:<22}  {number:>{width}}   {note}" for label, number, note in rows]
    post = last.post_since_start
    if post.p50 is not None:
        lines.append(f"  POST                    p50 {duration(post.p50)}, p99 {duration(post.p99)}")
    return "\n".join(["", *lines])


def _blocks(blocks: int, seconds: float) -> str:
    number = "1 block" if blocks == 1 else f"{count(blocks)} blocks"
    return f"{number} in {elapsed(seconds) if seconds >= 60 else f'{seconds:.1f} s'}"


def problem(logs: DeliveryAudit, not_verified: int) -> str:
    """Return the difference in one line; empty if every log was delivered and verified."""
    if not logs.emitted:
        return "hookfarm: no logs were emitted"
    problems = []
    owed = logs.missing
    if owed:
        block_hash, _, index = owed[0].partition(":")
        first = f"the first is log {index} of block {block_hash}"
        problems.append(f"{count(len(owed))} of {count(logs.emitted)} webhooks did not arrive, {first}")
    if logs.unknown:
        problems.append(f"{count(logs.unknown)} webhooks match no log, or repeat one under another id")
    if not_verified:
        problems.append(f"{count(not_verified)} had an invalid signature")
    return f"hookfarm: {'; '.join(problems)}" if problems else ""
