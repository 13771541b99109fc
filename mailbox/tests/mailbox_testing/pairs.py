"""Connections that need no network: the server's end is served as any other."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar

from mailward_mailbox.serving.connections.listener import Connections, Serve

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.Protocol)


async def connect(
    connections: Connections, serve: Serve, make: Callable[[], AnyProtocol]
) -> AnyProtocol:
    """The client's end of a connection that *serve* serves; *make* makes its protocol."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    connections.begin(far, serve)
    _, protocol = await asyncio.get_running_loop().create_connection(make, sock=near)
    return protocol
