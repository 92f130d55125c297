"""Faults of the machine for whole farms under test: clock steps and hanging name resolution.

Python imports this module at its start if the folder is on PYTHONPATH. `time.time` is shifted by the number in the
file ODD_WORLD_CLOCK, for all processes at once. Monotonic clocks are unchanged, as in a real clock step. The first
process that resolves one of NAMES hangs (in C, without handling signals, or in Python), or dies with an unexpected
error. The error's text is ODD_WORLD_LAST_WORDS. Later processes resolve the name to loopback.
"""

import mmap
import os
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

import pycares

STUCK, SPINNING, CRASHING = "stuck.example", "spinning.example", "crashing.example"
NAMES = (STUCK, SPINNING, CRASHING)

_real_time, _real_time_ns, _real_getaddrinfo = time.time, time.time_ns, socket.getaddrinfo


def _offset() -> Callable[[], float]:
    with open(os.environ["ODD_WORLD_CLOCK"], "rb") as file:
        shared = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
    return lambda: float(struct.unpack_from("d", shared)[0])


def _first(name: str) -> bool:
    try:
        os.close(os.open(os.path.join(os.environ["ODD_WORLD_ONCE"], name), os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _go_wrong(host: str) -> None:
    """Hang or fail in the first process that resolves one of NAMES."""
    while host == SPINNING:
        pass
    if host == CRASHING:
        raise RuntimeError(os.environ["ODD_WORLD_LAST_WORDS"])
    os.read(os.pipe()[0], 1)


def _getaddrinfo(host: Any, *arguments: Any, **named: Any) -> Any:
    if host not in NAMES:
        return _real_getaddrinfo(host, *arguments, **named)
    if _first(host):
        _go_wrong(host)
    return _real_getaddrinfo("127.0.0.1", *arguments, **named)


class _Channel(pycares.Channel):
    """Replacement for the resolver of delivery processes."""

    def getaddrinfo(self, host: Any, *arguments: Any, **named: Any) -> Any:
        if host in NAMES and _first(host):
            _go_wrong(host)
        return super().getaddrinfo("localhost" if host in NAMES else host, *arguments, **named)


if "ODD_WORLD_CLOCK" in os.environ:
    offset = _offset()
    time.time = lambda: _real_time() + offset()
    time.time_ns = lambda: _real_time_ns() + int(offset() * 1e9)
if "ODD_WORLD_ONCE" in os.environ:
    socket.getaddrinfo = _getaddrinfo
    pycares.Channel = _Channel  # type: ignore[misc]  # for later imports
