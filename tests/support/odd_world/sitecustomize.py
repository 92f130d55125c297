"""A world in which the wall clock jumps and some names never resolve, for whole farms under test.

Python loads this by itself where the folder is on PYTHONPATH, before it runs anything. It stands in for the
machine, which a test must not change: `time.time` is off by what the file ODD_WORLD_CLOCK says, for all processes
at once, and the first to resolve one of NAMES gets stuck there (in C, deaf to everything, or in Python, for ever)
or dies of an error that nobody expects, which says what ODD_WORLD_LAST_WORDS holds. The next one resolves it to
loopback. Monotonic clocks are as they are, as in a real step of the clock.
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
    """What happens to the first that resolves one of NAMES."""
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
    """The resolver of delivery processes."""

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
    pycares.Channel = _Channel  # type: ignore[misc]  # for all that import it later
