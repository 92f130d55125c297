"""The task of peers with blocking workers: one signed POST with urllib3, connections kept alive."""

import ssl

import urllib3
from webhook import CONCURRENCY, TIMEOUT_SECONDS, headers

_pool = urllib3.PoolManager(
    maxsize=CONCURRENCY, timeout=TIMEOUT_SECONDS, retries=False, ssl_context=ssl.create_default_context()
)


def post(url: str, webhook_id: str, body: str) -> None:
    """Post a webhook. Raises RuntimeError unless the response is a 2xx."""
    content = body.encode()
    answer = _pool.request("POST", url, body=content, headers=headers(webhook_id, content))
    if answer.status // 100 != 2:
        raise RuntimeError(f"{url}: {answer.status}")
