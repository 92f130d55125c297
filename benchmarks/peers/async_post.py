"""The task of asyncio peers: one signed POST with aiohttp on uvloop, connections kept alive."""

import functools
import ssl

import aiohttp
import uvloop
from webhook import TIMEOUT_SECONDS, headers

uvloop.install()


async def post(url: str, webhook_id: str, body: str) -> None:
    """Post a webhook. Raises RuntimeError unless the response is a 2xx."""
    content = body.encode()
    async with _session().post(url, data=content, headers=headers(webhook_id, content)) as answer:
        if answer.status // 100 != 2:
            raise RuntimeError(f"{url}: {answer.status}")


@functools.cache
def _session() -> aiohttp.ClientSession:
    """Return the session of the process, made in its event loop."""
    connector = aiohttp.TCPConnector(limit=0, ssl=ssl.create_default_context())
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=TIMEOUT_SECONDS))
