"""A peer whose machine has lost power, or whose network drops its packets."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path

import pytest

SO_ATTACH_FILTER = 26
"""An option of Linux, with a program in the kernel's classic form of BPF."""
RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)


def fall_silent(connected: socket.socket) -> None:
    """Let the kernel drop all packets that arrive for a TCP socket, without acknowledging them.

    The other side learns of nothing, also not of an end, until the socket is closed.
    """
    program = ctypes.create_string_buffer(RETURN_NOTHING)
    connected.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def fall_silent_to(address: str) -> int:
    """Let all connections of this process to a server on 127.0.0.1 fall silent, and return their number."""
    port, found = int(address.rpartition(":")[2]), 0
    for path in [*Path("/proc/self/fd").iterdir()]:
        if not path.is_socket():
            continue
        with suppress(OSError), socket.socket(fileno=os.dup(int(path.name))) as one:  # not all are connected
            if one.family in {socket.AF_INET, socket.AF_INET6} and one.getpeername()[1] == port:
                fall_silent(one)
                found += 1
    return found


def _is_permitted() -> bool:
    if sys.platform != "linux":
        return False
    with socket.socket() as one:
        try:
            fall_silent(one)
        except PermissionError:
            return False
    return True


needs_silence = pytest.mark.skipif(
    not _is_permitted(), reason="the kernel does not drop the packets of a TCP socket for this user"
)
"""A mark of tests in which a connection falls silent."""
