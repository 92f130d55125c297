"""Mark orders as paid by confirmed payments to their wallets, and as open again if a reorg removes a payment.

pip install 'standardwebhooks>=1.1'
python payments.py order 1001 0x1111111111111111111111111111111111111111 ETH 500000000000000000
WEBHOOK_SECRET=whsec_… python payments.py serve
python payments.py list
"""

import json
import os
import sqlite3
import sys
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

DATABASE = os.environ.get("DATABASE", "payments.db")
ASSETS = {"0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": "USDC"}
"""Token address in lower case -> name. Transfers of the chain's own currency are `ETH`."""
SCHEMA = """
    CREATE TABLE IF NOT EXISTS orders (
        id TEXT PRIMARY KEY, wallet TEXT NOT NULL, asset TEXT NOT NULL, amount TEXT NOT NULL,
        UNIQUE (wallet, asset)
    );
    CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS payments (
        webhook_id TEXT PRIMARY KEY, wallet TEXT NOT NULL, asset TEXT NOT NULL, value TEXT NOT NULL,
        transaction_hash TEXT NOT NULL, removed INTEGER NOT NULL DEFAULT 0
    );
"""
"""Amounts are decimal text in the smallest unit: uint256 does not fit into an SQLite integer."""

Row = tuple[str, str, str, str]


def connected() -> sqlite3.Connection:
    database = sqlite3.connect(DATABASE, timeout=10)
    database.executescript(SCHEMA)
    return database


def received(database: sqlite3.Connection, wallet: str, asset: str) -> int:
    """Return the sum of the payments that are on the chain."""
    query = "SELECT value FROM payments WHERE wallet = ? AND asset = ? AND NOT removed"
    return sum(int(value) for (value,) in database.execute(query, (wallet, asset)))


def order_line(database: sqlite3.Connection, order: Row) -> str:
    identity, wallet, asset, amount = order
    paid = received(database, wallet, asset)
    return f"order {identity} {'paid' if paid >= int(amount) else 'open'}: {paid} of {amount} {asset}"


def book(webhook_id: str, webhook: dict[str, Any]) -> None:
    """Book a webhook once: its id and its payment are stored in one transaction."""
    with closing(connected()) as database, database:
        if not database.execute("INSERT OR IGNORE INTO webhooks VALUES (?)", (webhook_id,)).rowcount:
            return
        if webhook["type"].endswith(".removed"):
            database.execute("UPDATE payments SET removed = 1 WHERE webhook_id = ?", (webhook["original"],))
        elif webhook["type"].endswith(".emitted"):
            database.execute(
                "INSERT INTO payments VALUES (?, ?, ?, ?, ?, 0)", (webhook_id, *payment(webhook["data"]))
            )
        orders = database.execute("SELECT * FROM orders WHERE wallet = ?", (payment(webhook["data"])[0],))
        for order in orders.fetchall():
            print(order_line(database, order), flush=True)


def payment(data: dict[str, Any]) -> Row:
    """Return wallet, asset, value and transaction hash."""
    if data.get("kind") == "transfer":
        return data["to"], "ETH", data["value"], data["transaction_hash"]
    arguments = data["event"]["args"]
    return arguments["to"], ASSETS[data["address"]], str(arguments["value"]), data["transaction_hash"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            verifier.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        if "webhook-test" not in self.headers:
            book(self.headers["webhook-id"], json.loads(body))
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["order", identity, wallet, asset, amount]:
            with closing(connected()) as database, database:
                row = (identity, wallet.lower(), asset, str(int(amount)))
                database.execute("INSERT INTO orders VALUES (?, ?, ?, ?)", row)
        case ["list"]:
            with closing(connected()) as database:
                for order in database.execute("SELECT * FROM orders ORDER BY id").fetchall():
                    print(order_line(database, order))
        case ["serve"]:
            verifier = Webhook(os.environ["WEBHOOK_SECRET"])
            server = ThreadingHTTPServer(("127.0.0.1", int(os.environ.get("PORT", "9000"))), Handler)
            print(f"listening on http://127.0.0.1:{server.server_port}", flush=True)
            server.serve_forever()
        case _:
            sys.exit("usage: payments.py order ID WALLET ASSET AMOUNT | list | serve")
