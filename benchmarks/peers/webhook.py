"""Shared parts of all peers' tasks: settings, and the headers of Standard Webhooks."""

import base64
import hashlib
import hmac
import os
import resource
import time

REDIS_URL = os.environ["REDIS_URL"]
PROCESSES = int(os.environ.get("PROCESSES", "1"))
CONCURRENCY = int(os.environ.get("CONCURRENCY", "1"))
TIMEOUT_SECONDS = 15.0
"""Default time-out of a hookfarm endpoint."""
_KEY = base64.b64decode(os.environ["WEBHOOK_SECRET"].removeprefix("whsec_"))
_, _most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (_most, _most))

Task = tuple[str, str, str]
"""URL, webhook-id, body."""


def headers(webhook_id: str, body: bytes) -> dict[str, str]:
    timestamp = str(int(time.time()))
    digest = hmac.digest(_KEY, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256)
    signature = f"v1,{base64.b64encode(digest).decode()}"
    signed = {"webhook-id": webhook_id, "webhook-timestamp": timestamp, "webhook-signature": signature}
    return {"content-type": "application/json", **signed}
