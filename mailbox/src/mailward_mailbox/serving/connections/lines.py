"""One connection of a line protocol: PROXY header, login, then its session."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Protocol

from mailward.wire.door import Closing, Door
from mailward.wire.proxyreader import Checked, HeaderReader, Proxied, Unreadable
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.client import Client
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import MailError
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.serving.connections.door import Closed, LoginTalk
from mailward_mailbox.serving.connections.listener import direct_client, this_task
from mailward_mailbox.serving.connections.logins import Logins
from mailward_mailbox.serving.connections.rotation import AccountRotation
from mailward_mailbox.serving.connections.waiting import Waiting
from mailward_mailbox.stream import Stream
from mailward_mailbox.turns import ROTATION

HEADER_SECONDS = 10.0
MAX_SESSIONS = 256
"""Of one account, in each protocol."""

_log = logging.getLogger("mailbox.session")


class LineService(Protocol):
    """One line protocol, after the login."""

    @property
    def offer(self) -> Sequence[str]:
        """What can be done before login, mechanisms among it, as the protocol writes it."""
        ...

    @property
    def capabilities(self) -> Sequence[str]:
        """What a session can do, as the protocol writes it."""
        ...

    async def serve(
        self,
        account: Account,
        mail: AccountMail,
        client: Client,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Speak with the owner of *account*, who was told already that the login succeeded."""
        ...


@dataclass(frozen=True, slots=True)
class Shared:
    """What the connections of all protocols share."""

    accounts: Accounts
    mail: MailStore
    logins: Logins
    waiting: Waiting
    rotation: AccountRotation = field(default_factory=AccountRotation)


class LineConnections:
    """Connections of one protocol; *is_proxied*: each begins with a PROXY header."""

    def __init__(
        self,
        shared: Shared,
        service: LineService,
        door: Callable[[], Door],
        *,
        is_proxied: bool,
    ) -> None:
        self._shared = shared
        self._service = service
        self._door = door
        self._is_proxied = is_proxied
        self._sessions: Counter[str] = Counter()

    async def serve(self, stream: Stream, accepted: socket.socket) -> None:
        """Serve one connection, from its first octet to its end.

        Raises:
            ConnectionError: the connection broke.
        """
        try:
            client = await self._client(stream, accepted)
        except _NoClientError as error:
            _log.warning("a connection is closed: %s", error)
            return
        async with AsyncExitStack() as stack:
            door = self._door()
            entered = await self._log_in(stream, door, client, stack)
            if entered is not None:
                await self._serve_session(stream, door, *entered)

    async def _client(self, stream: Stream, accepted: socket.socket) -> Client | None:
        """The client; ``None``: the proxy only looks whether there is a server.

        Raises:
            _NoClientError: the header cannot be read, or did not come.
        """
        if not self._is_proxied:
            return direct_client(accepted)
        waiting = self._shared.waiting
        place = waiting.enter(None, this_task().cancel)
        if place is None:
            raise _NoClientError("too many connections have sent no PROXY header yet")
        try:
            async with asyncio.timeout(HEADER_SECONDS):
                return await _proxied_client(stream)
        except TimeoutError:
            raise _NoClientError("no PROXY header came in time") from None
        finally:
            waiting.leave(place)

    async def _log_in(
        self, stream: Stream, door: Door, client: Client | None, stack: AsyncExitStack
    ) -> tuple[Account, AccountMail, Client] | None:
        """Whose session begins; its mail stays open as long as *stack* does."""
        end = _Displaced(this_task())
        place = self._shared.waiting.enter(None if client is None else client.source[0], end)
        if place is None:
            stream.write(door.crowded())
            return None
        mail: list[AccountMail] = []

        async def enter(account: Account) -> bool:
            if self._sessions[account.id] >= MAX_SESSIONS:
                return False
            try:
                opening = self._shared.mail.open(account.id)
                mail.append(await stack.enter_async_context(opening))
            except MailError as error:
                _log.error("%s", error)
                return False
            # It may have been disabled while its mail was opened.
            return self._shared.accounts.is_current(account)

        try:
            talk = LoginTalk(stream, door, client, self._shared.logins, self._shared.waiting, place)
            account = await talk.run(enter)
        except Closed as closed:
            if closed.last_words:
                stream.write(closed.last_words)
                await stream.linger()
            return None
        except asyncio.CancelledError:
            stream.write(door.crowded() if end.has_come else door.stopping())
            raise
        finally:
            self._shared.waiting.leave(place)
        if client is None:
            raise ValueError("a client that is not known cannot log in")
        return account, mail[0], replace(client, name=door.client_name)

    async def _serve_session(
        self, stream: Stream, door: Door, account: Account, mail: AccountMail, client: Client
    ) -> None:
        stream.write(door.accepted(self._service.capabilities))
        if isinstance(door.next_event(), Closing):
            return  # it sent more behind its credentials than is held
        self._sessions[account.id] += 1
        ROTATION.set(self._shared.rotation.of(account.id))
        try:
            with self._shared.accounts.while_current(account, this_task().cancel):
                await stream.drain()
                reader, writer = stream.hand_over(door.leftover())
                await self._service.serve(account, mail, client, reader, writer)
        finally:
            self._sessions[account.id] -= 1


class _NoClientError(Exception):
    """No client can be told of a connection; the message says why."""


class _Displaced:
    """Ends *task*, which gives its place to another connection."""

    def __init__(self, task: asyncio.Task[object]) -> None:
        self._task = task
        self.has_come = False

    def __call__(self) -> None:
        self.has_come = True
        self._task.cancel()


async def _proxied_client(stream: Stream) -> Client | None:
    """Raises:
    _NoClientError: the header cannot be read, or the connection ends in it.
    """
    header = HeaderReader()
    while header.result is None:
        octets = await stream.read()
        if not octets:
            raise _NoClientError("it ended before its PROXY header")
        stream.give_back(octets[header.receive(octets) :])
    match header.result:
        case Proxied(source, destination, tls):
            return Client(source, destination, tls)
        case Checked():
            return None
        case Unreadable(why):
            raise _NoClientError(f"its PROXY header cannot be read: {why}")
