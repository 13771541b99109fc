"""pymap's IMAP from the moment somebody is logged in: no greeting, no second login, no flood.

Login and TLS were before, at the door. pymap's own of both have weaknesses (a STARTTLS that lets
plaintext through, literals without a limit), so here is neither: those commands do not exist.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from argparse import Namespace
from contextlib import suppress
from functools import cached_property
from typing import NoReturn

from proxyprotocol.sock import SocketInfoLocal
from pymap.bytes import WriteStream
from pymap.concurrent import Subsystem
from pymap.config import BackendCapability, IMAPConfig
from pymap.exceptions import NotSupportedError, ResponseError
from pymap.imap import IMAPConnection
from pymap.imap.state import ConnectionState
from pymap.interfaces.login import IdentityInterface, LoginInterface
from pymap.interfaces.token import TokensInterface
from pymap.parsing.command import Command
from pymap.parsing.command.select import FetchCommand
from pymap.parsing.commands import Commands, InvalidCommand
from pymap.parsing.response import (
    CommandResponse,
    Response,
    ResponseBye,
    ResponseCode,
    ResponseNo,
)
from pymap.parsing.specials import FetchAttribute, FetchRequirement
from pymap.selected import SelectedMailbox
from pysasl import SASLAuth
from pysasl.creds.server import ServerCredentials
from pysasl.hashing import BuiltinHash

from mailward_mailbox.imap.hardened import harden
from mailward_mailbox.imap.session import PymapSession
from mailward_mailbox.inside import BUFFER_OCTETS
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import (
    MAX_MESSAGE_OCTETS,
    BrokenError,
    MailboxExistsError,
    MailError,
    NoRoomError,
    NoSuchMailboxError,
)
from mailward_mailbox.room import Room

MAX_COMMAND_OCTETS = 2 * MAX_MESSAGE_OCTETS
"""With all its literals: one message of the longest, or more that are shorter."""
MAX_DIGITS = 20  # RFC 9051 section 9: 63 bits
MAX_CONTINUATIONS = 256
"""In one command: pymap reads all of it anew with each."""
MAX_UNDER_WAY_OCTETS = 8 * MAX_MESSAGE_OCTETS
"""In the literals of all sessions together, or whoever has an account could fill the memory."""
MAX_BAD_COMMANDS = 20
PIECE_OCTETS = 16_384
IDLE_SECONDS = 1_860.0
"""RFC 9051 section 5.4: half an hour at least."""

_LITERAL_PLUS = re.compile(rb"\{(\d+)\+\}\r?\n\Z")
_BEFORE_LOGIN = (b"LOGIN", b"AUTHENTICATE", b"STARTTLS")

_INDEXED = (b"RFC822.SIZE", b"EMAILID", b"THREADID")

_log = logging.getLogger("mailward.embedded")


class _Config(IMAPConfig):
    """What pymap wants to know. It asks nobody, reads no file and opens no port."""

    def __init__(self) -> None:
        super().__init__(
            Namespace(debug=False, passlib_cfg=None, proxy_protocol=None),
            host=None,
            port=0,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            tls_enabled=False,
            hash_context=BuiltinHash(),
            cpu_subsystem=Subsystem.for_asyncio(),
            max_append_len=MAX_MESSAGE_OCTETS,
            bad_command_limit=MAX_BAD_COMMANDS,
        )

    @property
    def backend_capability(self) -> BackendCapability:
        return BackendCapability(idle=True, object_id=True, multi_append=True)

    @cached_property
    def commands(self) -> Commands:
        known = Commands()
        for name in _BEFORE_LOGIN:
            known.deregister(name)
        return known

    @property
    def initial_auth(self) -> SASLAuth:
        return SASLAuth([])


harden()
CONFIG = _Config()


def capabilities() -> tuple[str, ...]:
    """What a session can do."""
    words = (*CONFIG.initial_capability, *CONFIG.login_capability)
    return ("IMAP4rev1", *(word.decode() for word in words))


async def serve_imap(
    mail: AccountMail, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, room: Room
) -> None:
    """Speak with the owner of *mail*, who was told already that the login succeeded.

    Its literals are held in *room*.
    """
    connection = _Connection(reader, writer, room)
    try:
        await connection.run(_State(PymapSession(mail, CONFIG, writer.drain)))
    finally:
        connection.give_back()


class _Said(CommandResponse):
    """Was said already, at the door."""

    async def async_write(self, writer: WriteStream) -> None:
        pass


class _RefusedError(ResponseError):
    """An error of ours in the words of RFC 5530."""

    def __init__(self, error: MailError) -> None:
        super().__init__(str(error))
        self._error = error

    def get_response(self, tag: bytes) -> ResponseNo:
        match self._error:
            case NoRoomError():
                code, text = b"OVERQUOTA", str(self._error)
            case BrokenError():
                code, text = b"UNAVAILABLE", "It cannot be stored or read now"
            case NoSuchMailboxError():
                code, text = b"NONEXISTENT", str(self._error)
            case MailboxExistsError():
                code, text = b"ALREADYEXISTS", str(self._error)
            case _:
                code, text = b"CANNOT", str(self._error)
        return ResponseNo(tag, text.encode(), ResponseCode.of(code))


class _NoLogin(LoginInterface):
    """Nobody logs in here."""

    @property
    def tokens(self) -> TokensInterface:
        raise NotSupportedError

    async def authenticate(self, credentials: ServerCredentials) -> IdentityInterface:
        raise NotSupportedError

    async def authorize(self, authenticated: IdentityInterface, authzid: str) -> IdentityInterface:
        raise NotSupportedError


class _State(ConnectionState):
    """A connection that is logged in, from its first command on."""

    def __init__(self, session: PymapSession) -> None:
        super().__init__(_NoLogin(), CONFIG)
        self._session = session
        self._capability.extend(CONFIG.login_capability)

    async def do_greeting(self) -> CommandResponse:
        return _Said(b"*")

    async def do_fetch(self, cmd: FetchCommand) -> tuple[CommandResponse, SelectedMailbox | None]:
        cmd.attributes = [_from_index(attribute) for attribute in cmd.attributes]
        return await super().do_fetch(cmd)

    async def do_command(self, cmd: Command) -> CommandResponse:
        if isinstance(cmd, InvalidCommand) and _is_too_big(cmd):
            code = ResponseCode.of(b"TOOBIG")  # RFC 7889 section 3
            return ResponseNo(cmd.tag, b"The message is too long", code)
        try:
            return await super().do_command(cmd)
        except MailError as error:
            raise _RefusedError(error) from None
        except (ResponseError, TimeoutError):
            raise
        except Exception:  # noqa: BLE001 -- a fault of pymap's is not the end of a session
            # Nothing was answered yet: the session can go on.
            _log.exception("a command of a session failed")
            return ResponseNo(cmd.tag, b"That failed here", ResponseCode.of(b"SERVERBUG"))


class _Indexed(FetchAttribute):
    """What is known of a message without its content."""

    @property
    def requirement(self) -> FetchRequirement:
        return FetchRequirement.METADATA


def _from_index(attribute: FetchAttribute) -> FetchAttribute:
    return _Indexed(attribute.value) if attribute.value in _INDEXED else attribute


def _is_too_big(cmd: InvalidCommand) -> bool:
    code = None if cmd.parse_exc is None else cmd.parse_exc.code
    return code is not None and bytes(code) == b"[TOOBIG]"


class _Gathered(WriteStream):
    """Passes on what is written in pieces of some size: pymap writes a word at a time."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self._held = bytearray()

    def write(self, data: bytes) -> None:
        self._held += data
        if len(self._held) >= PIECE_OCTETS:
            self.flush()

    def flush(self) -> None:
        self._writer.write(bytes(self._held))
        self._held.clear()


class _Connection(IMAPConnection):
    """Reads commands of bounded length, and logs no mail."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, room: Room
    ) -> None:
        super().__init__(CONFIG.commands, CONFIG, reader, writer, SocketInfoLocal(writer))
        self._room = room
        self._held = 0
        """Octets in the literals of this command."""
        self._continuations = 0

    def give_back(self) -> None:
        """The command is over: what its literals held is free for others."""
        self._room.give_back(self._held)
        self._held = 0
        self._continuations = 0

    async def read_command(self, state: ConnectionState) -> Command:
        self.give_back()
        return await super().read_command(state)

    @classmethod
    def _print(cls, log_format: str, output: str | bytes) -> None:
        pass

    async def write_response(self, resp: Response) -> None:
        gathered = _Gathered(self.writer)
        with suppress(ConnectionError):
            await resp.async_write(gathered)
            gathered.flush()
            await self.writer.drain()

    async def readline(self) -> memoryview:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                return await self._command()
        except TimeoutError:
            await self._end(b"Nothing was said for too long", b"UNAVAILABLE")

    async def _command(self) -> memoryview:
        command = bytearray()
        while True:
            try:
                command += await self.reader.readline()
            except ValueError:  # longer than the reader holds
                await self._end(b"A line is too long")
            if not command.endswith(b"\n"):
                raise EOFError
            literal = _LITERAL_PLUS.search(command)
            if literal is None:
                return memoryview(command)
            command += await self._literal(literal[1])

    async def read_continuation(self, literal_length: int) -> memoryview:
        self._continuations += 1
        if self._continuations > MAX_CONTINUATIONS:
            await self._end(b"There are too many literals")
        literal = await self._literal(b"%d" % literal_length)
        return memoryview(literal + bytes(await self.readline()))

    async def _literal(self, digits: bytes) -> bytes:
        """Read a literal; room is taken for what of it has come."""
        left = int(digits) if len(digits) <= MAX_DIGITS else MAX_COMMAND_OCTETS + 1
        if self._held + left > MAX_COMMAND_OCTETS:
            await self._end(b"A literal is too long")
        literal = bytearray()
        while left:
            piece = await self.reader.read(min(left, BUFFER_OCTETS))
            if not piece:
                raise EOFError
            if not self._room.take(len(piece)):
                await self._end(b"Too much mail is on its way, try again later")
            self._held += len(piece)
            left -= len(piece)
            literal += piece
        return bytes(literal)

    async def _end(self, why: bytes, code: bytes = b"LIMIT") -> NoReturn:
        """RFC 7888 section 4: what is not read cannot be told from commands."""
        await self.write_response(ResponseBye(why, ResponseCode.of(code)))
        raise EOFError
