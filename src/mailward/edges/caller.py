"""Who connects, as far as it is known: by the connection itself, or by what somebody said of it."""

from __future__ import annotations

import socket
from dataclasses import dataclass, replace
from enum import Enum, auto, unique
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address

from mailward.rules.model import Address, Attempt, Login
from mailward.wire.proxyline import TlsFacts

Endpoint = tuple[Address, int]


@unique
class Standing(Enum):
    """How the address of a caller is known."""

    DIRECT = auto()
    """The connection itself comes from there."""
    TOLD = auto()
    """A peer that is believed has named it."""
    CHECK = auto()
    """It is that of a peer that is believed, and that comes only to see whether we are here."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Whoever is at *source* (folded) and means to talk to *destination*.

    *peer* is the other end of the connection itself; *tls* what somebody said of the caller's TLS,
    where it ended before us.
    """

    source: Endpoint
    destination: Endpoint
    peer: Address
    standing: Standing = Standing.DIRECT
    tls: TlsFacts | None = None

    @property
    def address(self) -> Address:
        return self.source[0]

    @property
    def is_direct(self) -> bool:
        """Whether the address is the connection's own."""
        return self.standing is not Standing.TOLD

    @property
    def is_local(self) -> bool:
        """Whether nothing it sends crosses a network."""
        return self.address.is_loopback and self.peer.is_loopback

    def may_speak_plainly(self, allowed: bool | None) -> bool:
        """Whether passwords may come without TLS; ``None``: where they cross no network."""
        return self.is_local if allowed is None else allowed

    def attempt(
        self, service: str, listener: str, session: str, login: Login | None = None
    ) -> Attempt:
        """What is known of an attempt; without *login* before anybody says a name."""
        return Attempt(self.address, login, service, listener, session, is_direct=self.is_direct)

    def speaks_for(self, address: Address, port: int | None) -> Caller:
        """The client at *address*, whom this caller has named."""
        # No port is as good as this caller's own; but mail servers turn away who comes from 0.
        return replace(self, source=(address, port or self.source[1]), standing=Standing.TOLD)


@lru_cache(1_024)  # a flood comes from a few addresses, again and again
def peer_address(host: str) -> Address:
    """The address in a socket name; a link-local one comes with a zone, which is left out.

    The kernel wrote it: it need not be read as strictly as what somebody else wrote, which takes
    four times as long.
    """
    if ":" not in host:
        return IPv4Address(socket.inet_aton(host))
    return IPv6Address(socket.inet_pton(socket.AF_INET6, host.partition("%")[0]))
