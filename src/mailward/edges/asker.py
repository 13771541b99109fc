"""Whoever a request comes from: the connection itself, or whom a proxy for HTTP names."""

from __future__ import annotations

from dataclasses import dataclass, replace

from mailward.edges.caller import Caller, Standing
from mailward.edges.house import House
from mailward.rules.model import Address
from mailward.settings.configuration import NO_HEADER
from mailward.wire.http.forwarding import Garbled, Hop, Untold, told_client, told_secure
from mailward.wire.http.head import Fields, HttpError
from mailward.wire.proxyline import TlsFacts


@dataclass(frozen=True, slots=True)
class Terms:
    """On which terms a listener takes requests.

    *client_header* is the one in which a trusted proxy names its client; *allow_plaintext* is as
    :meth:`Caller.may_speak_plainly` has it.
    """

    client_header: str = NO_HEADER
    allow_plaintext: bool | None = None


@dataclass(frozen=True, slots=True)
class Asker:
    """Whoever one request comes from; by a proxy that is believed it may be another each time."""

    caller: Caller
    is_secure: bool
    is_behind_proxy: bool
    """A proxy for HTTP brings it: a connection that ends without an answer is blamed on us."""

    @property
    def address(self) -> Address:
        return self.caller.address

    @property
    def is_direct(self) -> bool:
        return self.caller.is_direct


def by_itself(terms: Terms, caller: Caller, own_tls: TlsFacts | None) -> Asker:
    """The connection of *caller*, which asks for nobody else; *own_tls* is what it has itself."""
    has_tls = caller.tls is not None or own_tls is not None
    is_secure = has_tls or caller.may_speak_plainly(terms.allow_plaintext)
    return Asker(caller, is_secure, is_behind_proxy=False)


def who_asks(house: House, listener: str, terms: Terms, itself: Asker, fields: Fields) -> Asker:
    """Who a request with *fields* comes from: *itself*, the connection, or whom that names.

    Raises:
        HttpError: a trusted proxy says so, but nobody can read it.
    """
    if terms.client_header == NO_HEADER:
        return itself
    caller, policy = itself.caller, house.guard.policy
    trusts, fold = policy.trusts, policy.prefixes.fold
    if not trusts(caller.address) or caller.standing is not Standing.DIRECT:
        return itself
    match told_client(fields, terms.client_header, lambda address: trusts(fold(address))):
        case Untold():
            return replace(itself, is_behind_proxy=True)
        case Garbled():
            house.complaints.unreadable_field(
                listener, caller.address, terms.client_header, house.clock()
            )
            raise HttpError("the proxy names no client that can be read")
        case Hop(address, port, hop_is_secure):
            has_tls = told_secure(fields) if hop_is_secure is None else hop_is_secure
            told = caller.speaks_for(fold(address), port)
            return Asker(
                replace(told, tls=TlsFacts("", "") if has_tls else None),
                has_tls or told.may_speak_plainly(terms.allow_plaintext),
                is_behind_proxy=True,
            )
