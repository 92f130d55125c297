"""The API's process, as the master forks it. Its heavy imports come with `prepare`."""

import asyncio
import importlib
import socket

from hookfarm.api.context import Settings
from hookfarm.config import Address
from hookfarm.errors import CouldNotBoot
from hookfarm.farm.child import Child

SERVICE = "api"
PORT = 0
"""Counter of the slot: the port it listens on."""
_SERVER = "hookfarm.api.app"


def prepare() -> None:
    """Import FastAPI, which takes half a second."""
    importlib.import_module(_SERVER)


def run(child: Child, address: Address, settings: Settings) -> None:
    """Serve until the child is asked to stop. Raises CouldNotBoot if it cannot listen on the address."""
    with listening(address) as listener:
        child.slot.set_counter(PORT, listener.getsockname()[1])
        server = importlib.import_module(_SERVER)
        asyncio.run(server.serve(child, listener, settings))


def listening(address: Address) -> socket.socket:
    """Return a listening socket. Raises CouldNotBoot with the address and the reason."""
    try:
        family, kind, protocol, _, bound = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        # asyncio switches Nagle's algorithm off only where the protocol is named; with it each answer takes 40 ms.
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(bound)
            listener.listen(128)
        except BaseException:
            listener.close()
            raise
    except (OSError, UnicodeError) as error:
        problem = getattr(error, "strerror", None) or "not a host name"
        raise CouldNotBoot(f"api: cannot listen on {address} ({problem}); choose another --api") from error
    return listener
