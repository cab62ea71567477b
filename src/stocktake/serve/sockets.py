"""Sockets: the listening socket of a server, bound here or inherited, and how it is closed."""

import ctypes
import select
import socket
import struct
import sys

from stocktake.errors import SettingsError

SO_ATTACH_FILTER = 26
"""Linux, asm-generic/socket.h; Python has no name for it."""
DROP_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0)
"""A socket filter of one instruction, BPF_RET | BPF_K 0: keep no byte of any packet."""


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes a free one.

    Raises:
        SettingsError: if the address cannot be listened on.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except (OSError, OverflowError) as err:
        reason = str(getattr(err, "strerror", None) or err).partition(" (while")[0]
        raise SettingsError(
            f"cannot listen on {host}:{port} ({reason}); choose another port (0 for a free one)"
            " or host"
        ) from err


BACKLOG = 2048
"""Connections that may wait to be accepted: a crew that is being exchanged must not lose any."""


def inherited(fd: int) -> socket.socket:
    """The listening socket that this process was given as a file descriptor.

    Raises:
        SettingsError: if the descriptor is no socket.
    """
    try:
        return socket.socket(fileno=fd)
    except OSError as err:
        raise SettingsError(
            f"file descriptor {fd} is no socket ({err.strerror}); --fd is for server processes"
            " that share a socket"
        ) from err


def address_of(host: str, door: socket.socket) -> str:
    """The address people type: http://127.0.0.1:8080."""
    name = f"[{host}]" if ":" in host else host
    return f"http://{name}:{door.getsockname()[1]}"


def turn_away(door: socket.socket) -> None:
    """Let nobody new connect, while connections that wait already can still be accepted.

    Closing a listening socket resets the connections in its backlog; that loses requests whose
    clients saw a connection. Linux has no call for this, but a filter that drops every packet to
    the listening socket does it; connections that stand have sockets, so filters, of their own.
    Elsewhere nothing is done.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(DROP_ALL)
    program = struct.pack("HL", 1, ctypes.addressof(code))  # struct sock_fprog
    try:
        door.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)
    except OSError:  # a sandbox without filters: the backlog is reset, as everywhere
        return


def has_waiting(door: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    return bool(select.select([door], [], [], 0)[0])
