"""The API's process, forked by the master, and its token. `prepare` does the heavy imports.

The token comes from the settings; else the first start generates one and stores it with mode 600.
"""

import asyncio
import importlib
import os
import secrets
import socket
from pathlib import Path

from hookfarm.api.context import Settings
from hookfarm.config import Address, Config, api_token
from hookfarm.errors import CouldNotBoot, OperatorError
from hookfarm.farm.child import Child

SERVICE = "api"
PORT = 0
"""Counter of the slot: the port that the API listens on."""
_SERVER = "hookfarm.api.app"


def prepare() -> None:
    """Import FastAPI, which takes half a second."""
    importlib.import_module(_SERVER)


def run(child: Child, address: Address, settings: Settings) -> None:
    """Serve until the child is to stop. Raises CouldNotBoot if it cannot listen on the address."""
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
        # asyncio disables Nagle's algorithm only for a named protocol; with Nagle each response takes 40 ms.
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
        raise CouldNotBoot(f"api: cannot listen on {address} ({problem}); give another --api") from error
    return listener


_FILE = "api-token"
_BYTES = 24


def read(config: Config) -> str | None:
    """Return the token of a farm with these settings; None if it has not been created yet."""
    return config.api_token or load(config.state_dir)


def load(state_dir: Path) -> str | None:
    """Return the token stored in a state directory; None if missing."""
    file = state_dir / _FILE
    try:
        return api_token(file.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise OperatorError(f"{file} is not a valid token; remove it, and `hookfarm start` creates one") from error


def load_or_create(config: Config) -> str:
    """Return the token, creating it if missing. Two farms that create it at once use the first one."""
    while (token := read(config)) is None:
        _create(config.state_dir / _FILE)
    return token


def _create(file: Path) -> None:
    """Write the file atomically: readers find the whole token or no file."""
    draft = file.with_name(f"{_FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(_BYTES) + "\n")
        try:
            os.link(draft, file)
        except FileExistsError:
            return  # Another farm has created it.
        finally:
            draft.unlink()
    except OSError as error:
        advice = "set HOOKFARM_API_TOKEN, or give another --state-dir"
        raise OperatorError(f"cannot store the API token in {file}: {error.strerror}; {advice}") from error
