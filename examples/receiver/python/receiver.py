"""Webhook receiver: verify, deduplicate, apply in one transaction, then answer.

pip install 'standardwebhooks>=1.1'
WEBHOOK_SECRET=whsec_… python receiver.py
"""

import json
import os
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

MAX_BODY_BYTES = 8 * 1024 * 1024
DATABASE = os.environ.get("DATABASE", "receiver.db")
SCHEMA = """
    CREATE TABLE IF NOT EXISTS webhooks (id TEXT PRIMARY KEY);
    CREATE TABLE IF NOT EXISTS entries (id TEXT PRIMARY KEY, data TEXT NOT NULL, state TEXT NOT NULL);
"""

verifier = Webhook(os.environ["WEBHOOK_SECRET"])


def parse(body: bytes) -> dict[str, Any]:
    """Parse a webhook. Raises ValueError if the body is malformed."""
    webhook = json.loads(body)
    if not isinstance(webhook, dict) or not isinstance(webhook.get("type"), str):
        raise ValueError("body: not a webhook; must be an object with a type")
    if not isinstance(webhook.get("data"), dict):
        raise ValueError("data: must be an object")
    return webhook


def process(webhook_id: str, webhook: dict[str, Any]) -> None:
    """Apply a webhook once: its id and its effect are stored in the same transaction."""
    with closing(sqlite3.connect(DATABASE, timeout=10)) as database, database:
        new = database.execute("INSERT OR IGNORE INTO webhooks VALUES (?)", (webhook_id,)).rowcount
        if new:
            print(apply(database, webhook_id, webhook), flush=True)


def apply(database: sqlite3.Connection, webhook_id: str, webhook: dict[str, Any]) -> str:
    """Your business logic. A slow step belongs into a job that reads `entries` after the answer."""
    data, original = webhook["data"], webhook.get("original")
    match webhook["type"]:
        case "log.emitted" | "transfer.emitted":
            row = (webhook_id, json.dumps(data), "applied")
            database.execute("INSERT INTO entries VALUES (?, ?, ?)", row)
            return f"applied {webhook_id} {position(data)}"
        case "log.removed" | "transfer.removed":  # A reorg removed the log: undo the effect of `original`.
            database.execute("UPDATE entries SET state = 'reversed' WHERE id = ?", (original,))
            return f"reversed {original}"
        case "log.finalized" | "transfer.finalized":  # No reorg can remove the log any more.
            database.execute("UPDATE entries SET state = 'final' WHERE id = ?", (original,))
            return f"finalized {original}"
        case other:
            return f"ignored {webhook_id} {other}"


def position(data: dict[str, Any]) -> str:
    """Return the identity on the chain: block hash and log index, or `t` and transaction index of a transfer."""
    index = data["log_index"] if "log_index" in data else f"t{data['transaction_index']}"
    return f"{data['block_hash']}:{index}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_POST(self) -> None:
        length = int(self.headers.get("content-length", 0))
        if length > MAX_BODY_BYTES:
            self.close_connection = True
            return self.answer(413)
        body = self.rfile.read(length)
        try:
            verifier.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        try:
            webhook = parse(body)
        except ValueError:
            return self.answer(400)
        if "webhook-test" not in self.headers:  # A sample of `hookfarm endpoints test` has no effect.
            process(self.headers["webhook-id"], webhook)
        return self.answer(204)

    def answer(self, status: int) -> None:
        self.send_response(status)
        if status != 204:
            self.send_header("content-length", "0")
        self.end_headers()

    def log_request(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    with closing(sqlite3.connect(DATABASE)) as database:
        database.execute("PRAGMA journal_mode = WAL")
        database.executescript(SCHEMA)
    address = (os.environ.get("HOST", "127.0.0.1"), int(os.environ.get("PORT", "9000")))
    server = ThreadingHTTPServer(address, Handler)
    print(f"listening on http://{address[0]}:{server.server_port}", flush=True)
    server.serve_forever()
