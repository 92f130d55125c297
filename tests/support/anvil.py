"""A real node for tests, anvil, and a contract that emits ERC-20 Transfers."""

import contextlib
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

import pytest
import urllib3

from tests.support.waiting import eventually

VARIABLE = "HOOKFARM_ANVIL"
CHECKOUT = Path(__file__).parents[2]
START_SECONDS = 60.0
STOP_SECONDS = 10.0

TRANSFER_TOPIC = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
"""keccak256("Transfer(address,address,uint256)")"""
TRANSFER_SELECTOR = "a9059cbb"
"""The first four bytes of keccak256("transfer(address,uint256)")."""

EMITTER = bytes.fromhex(
    "6020"  # PUSH1 32        bytes to copy
    "6024"  # PUSH1 36        from calldata: the second argument, value
    "6000"  # PUSH1 0         to memory
    "37"  # CALLDATACOPY
    "6004"  # PUSH1 4
    "35"  # CALLDATALOAD      topic 2: the first argument, to
    "33"  # CALLER            topic 1: from
    f"7f{TRANSFER_TOPIC[2:]}"  # PUSH32   topic 0
    "6020"  # PUSH1 32        bytes of data
    "6000"  # PUSH1 0         of memory: value
    "a3"  # LOG3
    "6001"  # PUSH1 1
    "6000"  # PUSH1 0
    "52"  # MSTORE            true
    "6020"  # PUSH1 32
    "6000"  # PUSH1 0
    "f3"  # RETURN
)
"""Runtime code that treats any call as `transfer(to, value)`: emits Transfer(caller, to, value), returns true."""

_LOADER = bytes.fromhex(
    f"60{len(EMITTER):02x}"  # PUSH1 length
    "80"  # DUP1
    "600b"  # PUSH1 11        offset of the code, after these 11 bytes
    "6000"  # PUSH1 0
    "39"  # CODECOPY          code -> memory
    "6000"  # PUSH1 0
    "f3"  # RETURN            memory is the contract
)


def anvil_binary() -> Path | None:
    """Return the path of anvil: from HOOKFARM_ANVIL, else the npm package in the checkout. None if missing."""
    if named := os.environ.get(VARIABLE):
        return Path(named)
    found = sorted(CHECKOUT.glob("tests/node_modules/@foundry-rs/anvil-*/bin/anvil"))
    return found[0] if found else None


def require_anvil() -> Path:
    """Return the binary; if missing, skip the test, or fail it where CI promises one."""
    binary = anvil_binary()
    if binary is not None and binary.is_file():
        return binary
    reason = f"anvil not found: install npm and run bin/test, or set {VARIABLE}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


class Anvil:
    """A node on its own port, which it keeps across `kill` and `start`."""

    def __init__(self, binary: Path, options: Sequence[str], port: int, output: IO[bytes]) -> None:
        self._binary = binary
        self._options = tuple(options)
        self._process: subprocess.Popen[bytes] | None = None
        self._output = output
        self._http = urllib3.PoolManager(retries=False)
        self._place: socket.socket | None = None
        self.port = port

    @property
    def http_url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def ws_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def call(self, method: str, *parameters: object) -> Any:
        """Send a JSON-RPC request; return the result. Raises AssertionError with the node's error."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(parameters)}
        answer = self._http.request("POST", self.http_url, json=body, timeout=10.0).json()
        assert "error" not in answer, f"{method}: {answer['error']}"
        return answer["result"]

    def start(self) -> None:
        self._output.seek(0)
        self._output.truncate()
        address = ("--host", "127.0.0.1", "--port", str(self.port))
        self._process = subprocess.Popen(
            [self._binary, *address, *self._options], stdout=self._output, stderr=subprocess.STDOUT
        )
        self.port = eventually(self._announced_port, within=START_SECONDS, what="anvil listening")
        self._give_up_place()

    def kill(self) -> None:
        """Send SIGKILL."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Send SIGTERM, after which anvil writes its `--state`."""
        self._end(signal.SIGTERM)

    def freeze(self) -> None:
        """Send SIGSTOP: its sockets stay open and silent."""
        self._send(signal.SIGSTOP)

    def thaw(self) -> None:
        self._send(signal.SIGCONT)

    def close(self) -> None:
        self.kill()
        self._give_up_place()
        self._http.clear()

    def _send(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def _end(self, number: int) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait(STOP_SECONDS)
            self._process = None
            self._keep_place()

    def _keep_place(self) -> None:
        """Reserve the port until the next start."""
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", self.port))

    def _give_up_place(self) -> None:
        if self._place is not None:
            self._place.close()
            self._place = None

    def _announced_port(self) -> int:
        assert self._process is not None
        said = os.pread(self._output.fileno(), 65536, 0).decode()
        assert self._process.poll() is None, f"anvil ended: {said}"
        _, announced, rest = said.partition("Listening on ")
        return int(rest.split()[0].rpartition(":")[2]) if announced and "\n" in rest else 0


@contextlib.contextmanager
def running_anvil(
    *,
    port: int = 0,
    chain_id: int = 31337,
    block_time: float | None = None,
    extra: Sequence[str] = (),
) -> Iterator[Anvil]:
    """Run a new node during the context. Without `block_time` it makes a block per transaction.

    `extra`: further command line options. Calls `require_anvil`.
    """
    options = ["--chain-id", str(chain_id)]
    if block_time is not None:
        options += ["--block-time", str(block_time)]
    with tempfile.TemporaryFile() as output:
        node = Anvil(require_anvil(), [*options, *extra], port, output)
        try:
            node.start()
            yield node
        finally:
            node.close()


def deploy_emitter(node: Anvil) -> str:
    """Deploy EMITTER and wait until it is mined; return its address in lower case."""
    sender = node.call("eth_accounts")[0]
    creation = {"from": sender, "data": "0x" + (_LOADER + EMITTER).hex(), "gas": hex(500_000)}
    receipt = _wait_until_mined(node, node.call("eth_sendTransaction", creation))
    address: str = receipt["contractAddress"]
    return address.lower()


def emit_transfer(node: Anvil, contract: str, to: str, value: int, *, sender: int = 0) -> str:
    """Call `send_transfer` and wait until the transaction is mined."""
    transaction = send_transfer(node, contract, to, value, sender=sender)
    _wait_until_mined(node, transaction)
    return transaction


def send_transfer(node: Anvil, contract: str, to: str, value: int, *, sender: int = 0) -> str:
    """Send `transfer(to, value)` from one of the node's ten unlocked accounts; return the transaction's hash."""
    account = node.call("eth_accounts")[sender]
    data = f"0x{TRANSFER_SELECTOR}{to.removeprefix('0x').lower():0>64}{value:064x}"
    call = {"from": account, "to": contract, "data": data, "gas": hex(100_000)}
    transaction: str = node.call("eth_sendTransaction", call)
    return transaction


def _wait_until_mined(node: Anvil, transaction: str) -> Any:
    """Return the receipt. The node answers before it has made the block."""
    receipt = eventually(
        lambda: node.call("eth_getTransactionReceipt", transaction), what="the transaction being mined"
    )
    assert receipt["status"] == "0x1", receipt
    return receipt
