"""Warn about unlimited ERC-20 approvals of watched owners, until they are revoked.

pip install 'standardwebhooks>=1.1'
WEBHOOK_SECRET=whsec_… python approvals.py
"""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

UNLIMITED = 2**255
"""Wallets approve 2^256 - 1 for "unlimited"; some tokens reduce it with each transfer."""

verifier = Webhook(os.environ["WEBHOOK_SECRET"])

Key = tuple[str, str, str]
"""Token, owner, spender."""
Position = tuple[int, int]
"""Block number, log index."""


class Allowances:
    """The approvals on the chain, by webhook-id. In memory: a backfill fills it after a restart."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._approvals: dict[str, tuple[Key, Position, int]] = {}
        self._seen: set[str] = set()

    def change(self, webhook_id: str, webhook: dict[str, Any]) -> None:
        """Add an approval, or remove one that a reorg removed. Print a line if the key becomes (un)limited."""
        data, arguments = webhook["data"], webhook["data"]["event"]["args"]
        key = (data["address"], arguments["owner"], arguments["spender"])
        with self._lock:
            if webhook_id in self._seen:
                return
            self._seen.add(webhook_id)
            before = self.is_unlimited(key)
            if webhook["type"] == "log.emitted":
                position = (data["block_number"], data["log_index"])
                self._approvals[webhook_id] = (key, position, int(arguments["value"]))
            elif webhook["type"] == "log.removed":
                self._approvals.pop(webhook["original"], None)
            after = self.is_unlimited(key)
        if after != before:
            token, owner, spender = key
            print(
                f"{'UNLIMITED' if after else 'limited'} token {token} owner {owner} spender {spender}", flush=True
            )

    def is_unlimited(self, key: Key) -> bool:
        """The last approval on the chain counts: webhooks may arrive in another order."""
        values = [(position, value) for approved, position, value in self._approvals.values() if approved == key]
        return max(values)[1] >= UNLIMITED if values else False


allowances = Allowances()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            verifier.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        if "webhook-test" not in self.headers:
            allowances.change(self.headers["webhook-id"], json.loads(body))
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
