"""Whether a connection to a mail server has arrived at this very daemon, by whatever name.

Such a login would make another one, and that one more, until nothing is left to make them from.
The configuration is checked for that, but a name may come to lead here later.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Collection

from mailward.rules.addresses import parse_address
from mailward.settings.configuration import Bind, Upstream
from mailward.settings.loops import meets, why_loop, why_our_socket


class Ourselves:
    """The addresses this daemon listens on, with the names of their listeners.

    *socket* is the path of its management socket, as it was bound.
    """

    def __init__(self, socket: str = "") -> None:
        self.binds: Collection[tuple[str, Bind]] = ()
        self._socket = socket

    def check(self, connected: asyncio.BaseTransport | socket.socket, settings: Upstream) -> None:
        """Refuse a connection for the mail server of *settings* that arrived here.

        Raises:
            ConnectionError: it did.
        """
        if isinstance(connected, socket.socket):
            ends = connected.getsockname(), connected.getpeername()
        else:
            ends = connected.get_extra_info("sockname"), connected.get_extra_info("peername")
        if settings.path is not None:
            # The name that the listener gave the socket, whatever path has led to it.
            if self._socket and ends[1] == self._socket:
                raise ConnectionError(why_our_socket(settings.name))
            return
        if not all(ends):
            return  # it is gone again already
        port = ends[1][1]
        suspected = [(listener, bind) for listener, bind in self.binds if bind.port == port]
        if not suspected:
            return
        local, peer = (str(parse_address(end[0])) for end in ends)
        for listener, bind in suspected:
            # From a machine to itself Linux takes the same address at both ends.
            if meets(bind, peer, port, is_here=local == peer):
                raise ConnectionError(why_loop(listener, str(bind), settings.name))
