"""One listening socket: accept, ask the guard, and drop or serve.

The accept loop is our own because the check comes first: before a byte is sent, before any
handshake, before the backend hears of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import os
import socket
import struct
from dataclasses import replace
from functools import partial

from mailward.edges.caller import Caller, Standing, peer_address
from mailward.edges.headers import Headers, is_header
from mailward.edges.house import House
from mailward.edges.receptions import Reception, Session
from mailward.rules.addresses import unmap
from mailward.rules.model import Address
from mailward.settings.configuration import Bind
from mailward.wire.proxyreader import Checked, HeaderRead, Proxied, Unreadable

BACKLOG = 4_096
ACCEPTS_PER_TURN = 16  # then the sessions have their turn: a login takes many of them
REST_SECONDS = 0.2  # when descriptors have run out
COMPLAINT_SECONDS = 60.0  # between two lines about that

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_SEND_ON_CLOSE = struct.pack("ii", 0, 0)  # what is still to be sent, as usual
_log = logging.getLogger("mailward.listener")


class BindError(Exception):
    """A socket that cannot be opened; the message says why and what to do.

    What *may_pass* is for others to end: a program that has the port, an address that is not up.
    """

    def __init__(self, bind: Bind, error: OSError) -> None:
        super().__init__(_why_not(bind, error))
        self.may_pass = error.errno in {errno.EADDRINUSE, errno.EADDRNOTAVAIL}
        self.is_taken = error.errno == errno.EADDRINUSE


def open_socket(bind: Bind) -> socket.socket:
    """A listening socket for *bind*.

    Raises:
        BindError: the port is in use, the address is not this machine's, or it is not allowed.
    """
    listening = _bound(bind)
    try:
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise BindError(bind, error) from None
    return listening


def check_bind(bind: Bind) -> None:
    """Try whether *bind* is free, without a moment in which anybody could connect.

    Raises:
        BindError: it could not be listened on now.
    """
    _bound(bind).close()


def _bound(bind: Bind) -> socket.socket:
    family = socket.AF_INET6 if ":" in bind.host else socket.AF_INET
    try:
        listening = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise BindError(bind, error) from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # [::] and 0.0.0.0 are two binds: each gets its own socket.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.setblocking(False)
        listening.bind((bind.host, bind.port))
    except OSError as error:
        listening.close()
        raise BindError(bind, error) from None
    return listening


def _why_not(bind: Bind, error: OSError) -> str:
    match error.errno:
        case errno.EADDRINUSE:
            return f"{bind} is in use by another program; stop it or choose another port"
        case errno.EACCES:
            return f"{bind} needs a privilege; run as root or with CAP_NET_BIND_SERVICE"
        case errno.EADDRNOTAVAIL:
            return f"{bind} is no address of this machine"
        case _:
            return f"cannot listen on {bind}: {error.strerror}"


class Listener:
    """Accepts on *listening* and hands each admitted connection to *reception*."""

    def __init__(self, house: House, reception: Reception, listening: socket.socket) -> None:
        self._house = house
        self.reception = reception
        self._socket = listening
        # Linux hands it down to every connection: who is dropped is reset by closing alone.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(listening.fileno(), self._accept)
        self._headers = Headers()
        self._resting: asyncio.TimerHandle | None = None
        self._complain_at = 0.0

    @property
    def port(self) -> int:
        """The port that is listened on, also where the configuration said 0."""
        port: int = self._socket.getsockname()[1]
        return port

    def close(self) -> None:
        """Accept nothing more."""
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._headers.close()

    def _accept(self) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                # A number, and no object of it: a flood would make one for each that is dropped.
                descriptor, peer = self._socket._accept()  # type: ignore[attr-defined] # noqa: SLF001 -- typeshed lacks it
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}:
                    self._rest(error)
                    return
                continue  # this one was gone before it was accepted
            self._welcome(descriptor, peer)

    def _rest(self, error: OSError) -> None:
        if self._loop.time() >= self._complain_at:
            self._complain_at = self._loop.time() + COMPLAINT_SECONDS
            _log.error(
                "%s cannot accept: %s; raise the descriptor limit or lower max-waiting",
                self.reception.listener,
                error.strerror,
            )
        self._loop.remove_reader(self._socket.fileno())
        self._resting = self._loop.call_later(REST_SECONDS, self._go_on)

    def _go_on(self) -> None:
        self._resting = None
        self._loop.add_reader(self._socket.fileno(), self._accept)

    def _welcome(self, descriptor: int, peer: tuple[str, int]) -> None:
        policy, reception = self._house.guard.policy, self.reception
        address = policy.prefixes.fold(peer_address(peer[0]))
        if not reception.proxy_protocol:
            # Before anything else is asked: of those that are dropped there may come a flood.
            if self._drops(address, reception, is_direct=True):
                os.close(descriptor)
            else:
                accepted = self._taken(descriptor)
                self._receive(accepted, _caller(accepted, address, peer[1]), reception)
        elif policy.trusts(address):
            accepted = self._taken(descriptor)
            caller = _caller(accepted, address, peer[1])
            self._headers.expect(accepted, partial(self._hear, accepted, caller, reception))
        else:
            os.close(descriptor)
            self._complain_of_untrusted(address, reception)

    def _taken(self, descriptor: int) -> socket.socket:
        """The connection, which is not reset any more when it is closed."""
        own = self._socket
        accepted = socket.socket(own.family, own.type, own.proto, fileno=descriptor)
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _SEND_ON_CLOSE)
        return accepted

    def _hear(
        self,
        accepted: socket.socket,
        proxy: Caller,
        reception: Reception,
        header: HeaderRead | None,
    ) -> None:
        """Go on with whom *proxy*, which was trusted when it came, connects for."""
        match header:
            case Proxied() | Checked() if not self._house.guard.policy.trusts(proxy.address):
                _reset(accepted)
                self._complain_of_untrusted(proxy.address, reception)
            case Proxied(source, destination, tls):
                fold = self._house.guard.policy.prefixes.fold
                client = proxy.speaks_for(fold(source[0]), source[1])
                here = (unmap(destination[0]), destination[1] or proxy.destination[1])
                self._admit(accepted, replace(client, destination=here, tls=tls), reception)
            case Checked():
                self._admit(accepted, replace(proxy, standing=Standing.CHECK), reception)
            case Unreadable(why):
                _reset(accepted)
                now = self._house.clock()
                self._house.complaints.unreadable_header(
                    reception.listener, proxy.address, why, now
                )
            case None:
                accepted.close()

    def _complain_of_untrusted(self, peer: Address, reception: Reception) -> None:
        self._house.complaints.untrusted_peer(reception.listener, peer, self._house.clock())

    def _admit(self, accepted: socket.socket, caller: Caller, reception: Reception) -> None:
        """Drop *caller*, whom somebody else may have named, or serve him."""
        if self._drops(caller.address, reception, is_direct=caller.is_direct):
            _reset(accepted)
        else:
            self._receive(accepted, caller, reception)

    def _drops(self, address: Address, reception: Reception, *, is_direct: bool) -> bool:
        """Count the connection; whether *address* is banned, and the connection to be dropped."""
        guard, now, service = self._house.guard, self._house.clock(), reception.service
        self._house.lobby.accepted[reception.listener, service] += 1
        if guard.admit(address, now, is_direct=is_direct) is None:
            return False
        guard.drops.count(address, service, now)
        return True

    def _receive(self, accepted: socket.socket, caller: Caller, reception: Reception) -> None:
        """Serve *caller*, if there is room."""
        guard, address = self._house.guard, caller.address
        subject = guard.policy.prefixes.subject(address)
        if not self._house.admits_one_more(address, subject, is_direct=caller.is_direct):
            _say_and_close(accepted, reception.crowded(caller))
            return
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        session = reception.receive(caller)
        session.arrive(partial(_hang_up, accepted))
        serve = partial(self._serve, accepted, session, reception)
        self._house.begin(serve, "a connection", partial(_give_up, accepted, session))

    async def _serve(self, accepted: socket.socket, session: Session, reception: Reception) -> None:
        context = reception.handshake()
        seconds = None if context is None else reception.limits.login_timeout.total_seconds()
        if context is not None and not reception.proxy_protocol and await is_header(accepted):
            # The handshake would only fail, and nobody would know why.
            _reset(accepted)
            session.never_came()
            listener, now = reception.listener, self._house.clock()
            self._house.complaints.unexpected_header(listener, session.address, now)
            return
        try:
            await self._loop.connect_accepted_socket(
                lambda: session, accepted, ssl=context, ssl_handshake_timeout=seconds
            )
        except OSError:  # it was gone again, or did not speak TLS
            _give_up(accepted, session)


def _caller(accepted: socket.socket, address: Address, port: int) -> Caller:
    """Who has connected himself; his connection is made ready to be served."""
    here = accepted.getsockname()
    accepted.setblocking(False)
    return Caller((address, port), (peer_address(here[0]), here[1]), address)


def _reset(accepted: socket.socket) -> None:
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    accepted.close()


def _hang_up(accepted: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it was gone again
        accepted.shutdown(socket.SHUT_RDWR)


def _give_up(accepted: socket.socket, session: Session) -> None:
    accepted.close()
    session.never_came()


def _say_and_close(accepted: socket.socket, octets: bytes) -> None:
    with contextlib.suppress(OSError):  # who does not listen any more need not hear it
        accepted.send(octets)
    accepted.close()
