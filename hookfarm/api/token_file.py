"""The API's token: from the settings, else generated at the first start and stored with mode 600."""

import os
import secrets
from pathlib import Path

from hookfarm.config import Config, api_token
from hookfarm.errors import OperatorError

_FILE = "api-token"
_BYTES = 24


def read(config: Config) -> str | None:
    """Return the token of a farm with these settings, None if none has been created yet."""
    return config.api_token or load(config.state_dir)


def load(state_dir: Path) -> str | None:
    """Return the token stored in a state directory, None if there is none."""
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
    """Return the token; create one if there is none. Two farms that create one at once both use the first."""
    while (token := read(config)) is None:
        _create(config.state_dir / _FILE)
    return token


def _create(file: Path) -> None:
    """Write the file in one step: readers find all of it, or nothing."""
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
