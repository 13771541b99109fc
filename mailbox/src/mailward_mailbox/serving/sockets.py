"""Listening sockets: Unix sockets in the data folder, TCP for a server that stands alone."""

from __future__ import annotations

import errno
import os
import socket
import stat
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

BACKLOG = 4_096
"""A Unix socket whose backlog is full refuses a client that does not block (EAGAIN)."""
MAX_PATH_OCTETS = 107
"""sun_path has 108 octets with the NUL that ends it (unix(7))."""
_ASK_SECONDS = 2.0


class SocketError(Exception):
    """A socket that cannot be listened on; the message says why."""


def listen_on_path(path: Path) -> socket.socket:
    """A Unix socket at *path*, mode 0600. One that no process listens on any more is replaced.

    Raises:
        SocketError: the path is too long, in use, or of something else.
    """
    octets = len(os.fsencode(path))
    if octets > MAX_PATH_OCTETS:
        raise SocketError(
            f"{path} has {octets} octets, and a socket's path {MAX_PATH_OCTETS} at most:"
            " choose another folder"
        )
    _remove_stale(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o177)
        try:
            listening.bind(str(path))
        finally:
            os.umask(before)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise SocketError(f"{path} cannot be listened on: {error.strerror}") from None
    listening.setblocking(False)
    return listening


def _remove_stale(path: Path) -> None:
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise SocketError(f"{path}: {error.strerror}") from None
    if not stat.S_ISSOCK(mode):
        raise SocketError(f"{path} is there and no socket: remove it, or choose another folder")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as asking:
        asking.settimeout(_ASK_SECONDS)
        try:
            asking.connect(str(path))
        except ConnectionRefusedError:
            with suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError as error:
            raise SocketError(f"{path} is in use: {error.strerror or error}") from None
    raise SocketError(f"{path} is in use by another process")


def listen_on_port(host: str, port: int, *, allow_remote: bool) -> socket.socket:
    """A TCP socket at an address of this machine.

    Raises:
        SocketError: the address is none, not of this machine alone without *allow_remote*, or
            in use.
    """
    try:
        address = ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise SocketError(f"{host} is no address: give one, such as 127.0.0.1") from None
    if not address.is_loopback and not allow_remote:
        raise SocketError(
            f"{host} is not of this machine alone, and passwords would cross the network without"
            " TLS: choose 127.0.0.1, or say --allow-remote"
        )
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6  # noqa: PLR2004 -- IPv4
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind((str(address), port))
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        used = error.errno == errno.EADDRINUSE
        why = "it is in use by another process" if used else error.strerror
        raise SocketError(f"{host}:{port} cannot be listened on: {why}") from None
    listening.setblocking(False)
    return listening
