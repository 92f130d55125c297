"""The API's process, forked by the master, and its token. Heavy imports come with `prepare`.

The token is that of the settings, else one that is generated at the first start and stored with mode 600.
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


_FILE = "api-token"
_BYTES = 24


def read(config: Config) -> str | None:
    """Return the token of a farm with these settings; None if none has been created yet."""
    return config.api_token or load(config.state_dir)


def load(state_dir: Path) -> str | None:
    """Return the token stored in a state directory; None if there is none."""
    file = state_dir / _FILE
    try:
        return api_token(file.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise OperatorError(f"{file} holds no token; remove it, and start makes another") from error


def load_or_create(config: Config) -> str:
    """Return the token; create one if there is none. Two farms that create one at once use the first."""
    while (token := read(config)) is None:
        _create(config.state_dir / _FILE)
    return token


def _create(file: Path) -> None:
    """Write the file in one step, so that readers find all of it, or nothing."""
    draft = file.with_name(f"{_FILE}.{os.getpid()}")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="ascii") as opened:
            opened.write(secrets.token_urlsafe(_BYTES) + "\n")
        try:
            os.link(draft, file)
        except FileExistsError:
            return  # Another farm was quicker.
        finally:
            draft.unlink()
    except OSError as error:
        advice = "set HOOKFARM_API_TOKEN, or choose another --state-dir"
        raise OperatorError(f"cannot keep the API's token in {file}: {error.strerror}; {advice}") from error
