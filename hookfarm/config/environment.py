"""The environment of the process: this module alone reads it."""

import os
from collections.abc import Mapping
from pathlib import Path


def variables() -> Mapping[str, str]:
    """All that are set, hookfarm's and others'."""
    return os.environ


def wants_no_colours(environment: Mapping[str, str] | None = None) -> bool:
    """Whether the user wants none from any program (https://no-color.org)."""
    return (variables() if environment is None else environment).get("NO_COLOR", "") != ""


def default_state_dir() -> Path:
    """Where programs keep what is theirs and a user's (XDG_STATE_HOME of the XDG base directories)."""
    base = variables().get("XDG_STATE_HOME") or "~/.local/state"
    try:
        return Path(base).expanduser().absolute() / "hookfarm"
    except RuntimeError:  # A user without a home, as in some containers.
        return Path("/var/lib/hookfarm")
