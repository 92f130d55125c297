"""Post a chat message for each large token transfer.

pip install 'standardwebhooks>=1.1'
WEBHOOK_SECRET=whsec_… CHAT_URL=https://… python whale_alert.py
"""

import json
import os
import sys
import urllib.request
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

CHAT_SECONDS = 10
"""Shorter than the endpoint's time-out (15 s)."""
TOKENS = {
    "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48": ("USDC", 6),
    "0xdac17f958d2ee523a2206206994597c13d831ec7": ("USDT", 6),
}
"""Address in lower case -> symbol, decimals."""

verifier = Webhook(os.environ["WEBHOOK_SECRET"])
chat_url = os.environ["CHAT_URL"]
posted: set[str] = set()
"""Ids of posted alerts. After a restart, a repeated webhook posts its alert again; a database avoids that."""


def message(webhook: dict[str, Any]) -> str:
    data = webhook["data"]
    symbol, decimals = TOKENS[data["address"]]
    arguments = data["event"]["args"]
    amount = Decimal(arguments["value"]).scaleb(-decimals)
    prefix = "Removed by a reorg: " if webhook["type"] == "log.removed" else ""
    return (
        f"{prefix}{amount:,.0f} {symbol} from {arguments['from']} to {arguments['to']}\n"
        f"https://etherscan.io/tx/{data['transaction_hash']}"
    )


def post(text: str) -> None:
    """Post to a Slack-compatible webhook. Raises OSError if it is not accepted."""
    body = json.dumps({"text": text}).encode()
    request = urllib.request.Request(chat_url, body, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=CHAT_SECONDS):
        pass


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            verifier.verify(body, dict(self.headers), json_parse=False)
        except (WebhookVerificationError, ValueError):
            return self.answer(401)
        webhook_id = self.headers["webhook-id"]
        if webhook_id in posted or "webhook-test" in self.headers:
            return self.answer(204)
        try:
            post(message(json.loads(body)))
        except OSError as error:  # hookfarm sends the webhook again, by its retry schedule.
            print(f"chat: {error}", file=sys.stderr)
            return self.answer(503)
        posted.add(webhook_id)
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
