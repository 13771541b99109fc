"""One IMAP session from the moment its client is logged in (RFC 9051, RFC 3501).

Login and TLS were before, at the door: those commands do not exist here. Commands run one after the
other; each ends with the news of the selected mailbox and its tagged response.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from mailward.wire.lines import LineError
from mailward_mailbox.imap.commands import CommandReader, GoAhead, ImapCommand, RefusedCommand
from mailward_mailbox.imap.errors import NoError, no_error
from mailward_mailbox.imap.methods import (
    appending,
    general,
    listing,
    mailboxes,
    messages,
    quota,
    reading,
    selecting,
)
from mailward_mailbox.imap.output import Output
from mailward_mailbox.imap.reading import MessageReader
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.view import MailboxGoneError, MailboxView
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS, MailError
from mailward_mailbox.room import Room
from mailward_mailbox.stream import linger
from mailward_mailbox.turns import begin_turn

MAX_UNDER_WAY_OCTETS = 4 * MAX_MESSAGE_OCTETS
"""In the literals of all sessions together."""
MAX_BAD_COMMANDS = 20
"""One after the other; then the session ends."""
READ_OCTETS = 65_536
IDLE_SECONDS = 1_860.0
"""RFC 9051 section 5.4: 30 minutes at least."""
MAX_DONE_OCTETS = 64

Method = Callable[[SessionState, ImapWords], Awaitable[bytes]]

_METHODS: Mapping[bytes, Method] = MappingProxyType(
    {
        b"CAPABILITY": general.capability,
        b"NOOP": general.noop,
        b"CHECK": general.check,
        b"ENABLE": general.enable,
        b"ID": general.identify,
        b"NAMESPACE": mailboxes.namespace,
        b"CREATE": mailboxes.create,
        b"DELETE": mailboxes.delete,
        b"RENAME": mailboxes.rename,
        b"SUBSCRIBE": mailboxes.subscribe,
        b"UNSUBSCRIBE": mailboxes.unsubscribe,
        b"STATUS": mailboxes.status,
        b"GETQUOTA": quota.get_quota,
        b"GETQUOTAROOT": quota.get_quota_root,
        b"LIST": listing.list_mailboxes,
        b"LSUB": listing.list_subscribed,
        b"SELECT": selecting.select,
        b"EXAMINE": selecting.examine,
        b"CLOSE": selecting.close,
        b"UNSELECT": selecting.unselect,
        b"APPEND": appending.append,
        b"FETCH": reading.fetch,
        b"UID FETCH": reading.uid_fetch,
        b"SEARCH": reading.search,
        b"UID SEARCH": reading.uid_search,
        b"STORE": messages.store,
        b"UID STORE": messages.uid_store,
        b"COPY": messages.copy,
        b"UID COPY": messages.uid_copy,
        b"MOVE": messages.move,
        b"UID MOVE": messages.uid_move,
        b"EXPUNGE": messages.expunge,
        b"UID EXPUNGE": messages.uid_expunge,
    }
)
_BEFORE_LOGIN = {b"LOGIN", b"AUTHENTICATE", b"STARTTLS"}
_KEEPS_NUMBERS = {b"FETCH", b"STORE", b"SEARCH"}
"""RFC 9051 section 7.5.1: no EXPUNGE is sent during these."""

_log = logging.getLogger("mailbox.imap")


class SharedLimits:
    """What the sessions of one server share: room for literals, and threads to read messages in."""

    def __init__(self) -> None:
        self.room = Room(MAX_UNDER_WAY_OCTETS)
        self.messages = MessageReader()

    def close(self) -> None:
        self.messages.close()


class _EndError(Exception):
    """The session ends; the message is what BYE says."""


class ImapSession:
    """A session of the owner of *mail*; the client was told already that its login succeeded."""

    def __init__(
        self,
        mail: AccountMail,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        shared: SharedLimits,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._commands = CommandReader(shared.room)
        self._output = Output(writer)
        self._state = SessionState(mail, self._output, shared.messages)
        self._bad = 0
        """Commands that were refused, one after the other."""
        self._is_over = False

    async def run(self) -> None:
        """Speak until the client, or the session, ends.

        Raises:
            ConnectionError: the client is gone.
        """
        try:
            while not self._is_over and await self._step():
                pass
            await self._output.flush()
        except _EndError as end:
            await self._end(str(end))
        except LineError as error:
            await self._end(f"[LIMIT] {error.told}")
        except MailboxGoneError:
            await self._end("The selected mailbox was removed")
        except asyncio.CancelledError:
            # The server stops, or the account does; what is half said cannot be ended well.
            if self._output.is_between_lines:
                self._writer.write(self._output.take() + b"* BYE The session was ended\r\n")
            raise
        finally:
            self._commands.close()

    async def _step(self) -> bool:
        """Do the next thing; whether the client is still there."""
        event = self._commands.next_event()
        match event:
            case None:
                await self._output.flush()
                octets = await self._read()
                await begin_turn()  # what came may be many commands
                self._output.begin_step()
                self._commands.receive_data(octets)
                return bool(octets)
            case GoAhead():
                self._output.line(b"+ OK")
            case RefusedCommand(tag, answer):
                self._refuse(tag, answer)
            case ImapCommand():
                await self._run(event)
        await self._output.pause()
        return True

    async def _read(self) -> bytes:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                return await self._reader.read(READ_OCTETS)
        except TimeoutError:
            raise _EndError("Nothing was said for too long") from None

    async def _run(self, command: ImapCommand) -> None:
        """Run one command and answer it."""
        tag = command.tag
        self._state.tag = tag
        try:
            answer = await self._outcome(command)
        except BadCommandError as error:
            self._refuse(tag, b"BAD " + str(error).encode("ascii", "replace"))
            return
        except (ConnectionError, LineError, MailboxGoneError, _EndError):
            raise
        except Exception:
            # A fault in one command: the session goes on unless a response was cut by it.
            _log.exception("an IMAP command failed")
            if not self._output.is_between_lines:
                raise
            answer = b"NO [SERVERBUG] The command failed"
        self._output.line(b"%b %b" % (tag, answer))
        self._bad = 0

    async def _outcome(self, command: ImapCommand) -> bytes:
        """Run a command and tell the news of the selected mailbox; what stands behind the tag."""
        name, enabled = command.name, self._state.enabled
        before = None if enabled.is_condstore else self._state.view
        try:
            done = await self._call(command)
            self._tell_modseq(before)
            await self._tell_news(may_expunge=name not in _KEEPS_NUMBERS)
        except NoError as error:
            no = error
        except MailError as error:
            no = no_error(error)
        else:
            return b"OK " + (done or name + b" completed")
        await self._tell_news(may_expunge=False)
        return f"NO [{no.code}] {no}".encode("ascii", "replace")

    def _tell_modseq(self, before: MailboxView | None) -> None:
        """Where CONDSTORE begins while a mailbox is selected (RFC 7162 section 3.1)."""
        view = self._state.view
        if view is not None and view is before and self._state.enabled.is_condstore:
            self._output.line(b"* OK [HIGHESTMODSEQ %d] Highest" % view.modseq)

    async def _tell_news(self, *, may_expunge: bool) -> None:
        view = self._state.view
        if view is not None:
            await view.update(self._output, may_expunge=may_expunge)

    async def _call(self, command: ImapCommand) -> bytes:
        name, words = command.name, command.words
        method = _METHODS.get(name)
        if method is not None:
            return await method(self._state, words)
        if name == b"IDLE":
            words.end()
            return await self._idle()
        if name == b"LOGOUT":
            words.end()
            self._output.line(b"* BYE Logging out")
            self._is_over, self._state.view = True, None
            return b""
        if name in _BEFORE_LOGIN:
            raise BadCommandError("The session is logged in already")
        raise BadCommandError("Unknown command")

    def _refuse(self, tag: bytes, answer: bytes) -> None:
        self._output.line(tag + b" " + answer)
        self._bad += 1
        if self._bad >= MAX_BAD_COMMANDS:
            raise _EndError("Too many invalid commands")

    async def _idle(self) -> bytes:
        """Tell what happens in the selected mailbox until the client says DONE (RFC 2177)."""
        self._output.line(b"+ idling")
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                line = await self._done()
        except TimeoutError:
            raise _EndError("Nothing was said for too long") from None
        if line.upper() != b"DONE":
            raise BadCommandError("IDLE ends with DONE")
        return b""

    async def _done(self) -> bytes:
        """The line that ends IDLE."""
        while (line := self._commands.next_line(MAX_DONE_OCTETS)) is None:
            known = self._state.mail.modseq  # what happens while the client is told is not missed
            await self._tell_news(may_expunge=True)
            await self._output.flush()
            octets = await self._read_or_change(known)
            self._output.begin_step()
            self._commands.receive_data(octets)
        return line

    async def _read_or_change(self, known: int) -> bytes:
        """What the client says, or nothing: the mail has changed after *known*.

        Raises:
            ConnectionError: the client is gone.
        """
        async with asyncio.TaskGroup() as tasks:
            read = tasks.create_task(self._read_or_end())
            change = tasks.create_task(self._state.mail.changed(known))
            await asyncio.wait({read, change}, return_when=asyncio.FIRST_COMPLETED)
            read.cancel()
            change.cancel()
        if read.cancelled():
            return b""
        octets = read.result()
        if not octets:
            raise ConnectionResetError("the client left in IDLE")
        return octets

    async def _read_or_end(self) -> bytes:
        """As a task: a lost connection is an end, so that no other task hears of it."""
        try:
            return await self._reader.read(READ_OCTETS)
        except ConnectionError:
            return b""

    async def _end(self, why: str) -> None:
        self._output.line(b"* BYE " + why.encode("ascii", "replace"))
        await self._output.flush()
        await linger(self._reader, self._writer)
