"""The API's token: the given one, else one that is made at first start and kept where only its owner reads it."""

import os
import secrets
from pathlib import Path

from hookfarm.config import Config, api_token
from hookfarm.errors import OperatorError

_FILE = "api-token"
_BYTES = 24


def read(config: Config) -> str | None:
    """The token that a farm with these settings goes by; None where none has been made yet."""
    return config.api_token or kept(config.state_dir)


def kept(state_dir: Path) -> str | None:
    """The one that was made for this state directory, if one was."""
    file = state_dir / _FILE
    try:
        return api_token(file.read_text("ascii").strip())
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OperatorError(f"cannot read {file}: {error.strerror}") from error
    except ValueError as error:
        raise OperatorError(f"{file} holds no token; remove it, and start makes another") from error


def read_or_make(config: Config) -> str:
    """As `read`; one is made where there is none. Of two farms that make one at once, both go by the first."""
    while (token := read(config)) is None:
        _make(config.state_dir / _FILE)
    return token


def _make(file: Path) -> None:
    """Written elsewhere first, so that whoever reads it finds all of it or nothing."""
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
