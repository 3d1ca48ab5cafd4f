"""A client whose machine has lost power, or whose network drops its packets."""

from __future__ import annotations

import ctypes
import socket
import struct

SO_ATTACH_FILTER = 26
"""An option of Linux, with a program in the kernel's classic form of BPF."""
RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)


def fall_silent(connected: socket.socket) -> None:
    """Let the kernel drop all packets that arrive for a TCP socket, without acknowledging them.

    The other side learns of nothing, also not of an end, until the socket is closed.
    """
    program = ctypes.create_string_buffer(RETURN_NOTHING)
    connected.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))
