"""Print the price of each swap in Uniswap V2 and V3 pools.

pip install 'standardwebhooks>=1.1'
WEBHOOK_SECRET=whsec_… python swaps.py
"""

import json
import os
from dataclasses import dataclass
from decimal import Decimal, getcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

getcontext().prec = 80
"""Digits: a product of two uint256 has more than the default of 28."""


@dataclass(frozen=True)
class Pool:
    """A pool of `token0` and `token1`, each with a symbol and decimals."""

    name: str
    token0: tuple[str, int]
    token1: tuple[str, int]


POOLS = {
    "0x88e6a0c2ddd26feeb64f039a2c41296fcb3f5640": Pool("V3", ("USDC", 6), ("WETH", 18)),
    "0xb4e16d0168e52d35cacd2c6185b44281ec28c9dc": Pool("V2", ("USDC", 6), ("WETH", 18)),
}

verifier = Webhook(os.environ["WEBHOOK_SECRET"])
seen: set[str] = set()
"""Ids of printed webhooks. Keep them in a database if a line must not be repeated after a restart."""


def amounts(arguments: dict[str, Any]) -> tuple[int, int]:
    """Return what the pool received of token0 and token1; negative if it paid."""
    if "sqrtPriceX96" in arguments:
        return int(arguments["amount0"]), int(arguments["amount1"])
    received = [int(arguments[f"amount{i}In"]) - int(arguments[f"amount{i}Out"]) for i in (0, 1)]
    return received[0], received[1]


def line(webhook: dict[str, Any]) -> str:
    """Return one line: the pool, what the trader did with token1, and its price in token0."""
    data, arguments = webhook["data"], webhook["data"]["event"]["args"]
    pool = POOLS[data["address"]]
    (symbol0, decimals0), (symbol1, decimals1) = pool.token0, pool.token1
    raw0, raw1 = amounts(arguments)
    amount0, amount1 = Decimal(raw0).scaleb(-decimals0), Decimal(raw1).scaleb(-decimals1)
    action = "sell" if raw1 > 0 else "buy"
    price = f"{abs(amount0 / amount1):.2f}" if raw1 else "-"
    text = f"{pool.name} {action} {abs(amount1):.4f} {symbol1} at {price} {symbol0}"
    if "sqrtPriceX96" in arguments:  # The pool's price after the swap.
        root = Decimal(arguments["sqrtPriceX96"]) / 2**96
        text += f", pool at {(1 / root**2).scaleb(decimals1 - decimals0):.2f}"
    return f"removed: {text}" if webhook["type"] == "log.removed" else text


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            verifier.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        webhook_id = self.headers["webhook-id"]
        if webhook_id not in seen and "webhook-test" not in self.headers:
            print(line(json.loads(body)), flush=True)
            seen.add(webhook_id)
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Handler)
    print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()
