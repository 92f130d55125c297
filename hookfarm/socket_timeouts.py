"""Time-outs of sockets that the kernel keeps.

A Python socket with a time-out asks poll() before every recv() and send(): two system calls each, which is a
tenth of what a delivery costs. With SO_RCVTIMEO and SO_SNDTIMEO (socket(7)) the one call waits and gives up by
itself. TLS needs Python's own time-outs, because one read of it may be several of the socket.
"""

import socket
import ssl
import struct

TIMED_OUT = (TimeoutError, BlockingIOError)
"""What a wait raises when its time is up: Python's time-out, or the kernel's."""


def set_timeout(sock: socket.socket, seconds: float) -> None:
    """Limit each wait on `sock` to `seconds`; a longer one raises one of TIMED_OUT."""
    if isinstance(sock, ssl.SSLSocket):
        sock.settimeout(seconds)
        return
    whole, part = divmod(int(seconds * 1e6), 1_000_000)
    timeval = struct.pack("@ll", whole, part)
    sock.settimeout(None)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)
