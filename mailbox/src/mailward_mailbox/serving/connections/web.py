"""One connection of JMAP: the client of each request, and the place before its login."""

from __future__ import annotations

import socket
from collections import Counter
from ipaddress import IPv4Address

from mailward.wire.http.answers import CROWDED
from mailward.wire.http.forwarding import FORWARDED, Hop, told_client
from mailward.wire.http.head import Fields, HttpError
from mailward.wire.proxyline import TlsFacts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.jmap.http.serving import Premises, Serving
from mailward_mailbox.serving.connections.listener import direct_client, this_task
from mailward_mailbox.serving.connections.waiting import Waiting
from mailward_mailbox.stream import Stream

MAX_CONNECTIONS_OF_ONE = 256
"""Of the account that a connection's first request was of."""
_NOWHERE = IPv4Address(0), 0


class WebConnections:
    """Connections of JMAP; *is_proxied*: each request says who its client is (RFC 7239)."""

    def __init__(self, premises: Premises, waiting: Waiting, *, is_proxied: bool) -> None:
        self._premises = premises
        self._waiting = waiting
        self._is_proxied = is_proxied
        self._connections: Counter[str] = Counter()

    async def serve(self, stream: Stream, accepted: socket.socket) -> None:
        """Serve one connection, from its first octet to its end.

        Raises:
            ConnectionError: the connection broke.
        """
        client = None if self._is_proxied else direct_client(accepted)
        address = None if client is None else client.source[0]
        task = this_task()
        place = self._waiting.enter(address, task.cancel)
        if place is None:
            stream.write(CROWDED.octets(has_body=True, closes=True))
            return

        def client_of(fields: Fields) -> Client:
            return _forwarded_client(fields) if client is None else client

        async def turn() -> None:
            await self._waiting.turn(address)

        owner: list[str] = []

        def admits(account: Account) -> bool:
            self._waiting.leave(place)
            if not owner and self._connections[account.id] < MAX_CONNECTIONS_OF_ONE:
                self._connections[account.id] += 1
                owner.append(account.id)
            return bool(owner)

        try:
            await Serving(self._premises, client_of, admits, turn).serve(stream)
            await stream.linger()
        finally:
            self._waiting.leave(place)
            self._connections.subtract(owner)


def _forwarded_client(fields: Fields) -> Client:
    """The client that the front door names.

    Raises:
        HttpError: it names none that could be read.
    """
    match told_client(fields, FORWARDED, lambda _: False):
        case Hop(address, port, is_secure):
            tls = TlsFacts("", "") if is_secure else None
            return Client((address, port or 0), _NOWHERE, tls)
        case _:
            raise HttpError("the Forwarded field names no client")
