"""What each command does, and what it is answered (RFC 5804 section 2)."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Sequence

from mailward.wire.managesieve.response import OWN_IMPLEMENTATION
from mailward.wire.managesieve.words import string_for_client
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.model import MailError, OverQuotaError
from mailward_mailbox.managesieve.commands import Command, Malformed
from mailward_mailbox.sieve.parser import MAX_SCRIPT_OCTETS, parse
from mailward_mailbox.sieve.tokens import SieveError

MAX_SCRIPTS = 64
MAX_NAME_CHARACTERS = 128  # RFC 5804 section 1.6 asks for that at least
_NO_NAME = {"Cc", "Cs", "Zl", "Zp"}

_OK = b'OK "Done"\r\n'
_TOO_LONG = b'NO (QUOTA/MAXSIZE) "A script has %d octets at most"\r\n' % MAX_SCRIPT_OCTETS
_FULL = b'NO (QUOTA/MAXSIZE) "The mailbox is full"\r\n'
_TOO_MANY = b'NO (QUOTA/MAXSCRIPTS) "There are %d scripts already"\r\n' % MAX_SCRIPTS
_MISSING = b'NO (NONEXISTENT) "There is no such script"\r\n'
_THERE = b'NO (ALREADYEXISTS) "There is such a script already"\r\n'
_ACTIVE = b'NO (ACTIVE) "The active script stays; make another one active first"\r\n'
_NOT_NOW = b'NO (TRYLATER) "Scripts cannot be stored or read now"\r\n'


class ManageSieveSession:
    """The scripts of one account. *offer* is what CAPABILITY shows, each as the door has it."""

    def __init__(self, mail: AccountMail, offer: Sequence[str], owner: str) -> None:
        self._mail = mail
        self._offer = offer
        self._owner = owner

    async def answer(self, command: Command | Malformed) -> bytes:
        """What a client is answered."""
        match command:
            case Malformed(why):
                return _no(why)
            case Command(is_too_long=True):
                return _TOO_LONG
            case Command():
                pass
        try:
            return await self._do(command)
        except MailError:
            return _NOT_NOW

    async def _do(self, command: Command) -> bytes:  # noqa: PLR0911 -- one for each command
        match command.name, command.strings:
            case b"PUTSCRIPT", (name, script):
                return await self._put(name, script)
            case b"CHECKSCRIPT", (script,):
                return await self._check(script) or _OK
            case b"HAVESPACE", (name,):
                return await self._space(name, command.number) or self._room(command.number)
            case b"GETSCRIPT", (name,):
                return await self._get(name)
            case b"SETACTIVE", (name,):
                return await self._activate(name)
            case b"DELETESCRIPT", (name,):
                return await self._delete(name)
            case b"RENAMESCRIPT", (name, new):
                return await self._rename(name, new)
            case b"LISTSCRIPTS", ():
                return await self._list()
            case _:
                return self._say(command)

    def _say(self, command: Command) -> bytes:
        """The answer to what asks for no script."""
        match command.name, command.strings:
            case b"CAPABILITY", ():
                return self._capabilities()
            case b"NOOP", (tag,):
                return b'OK (TAG %b) "Done"\r\n' % string_for_client(tag)
            case b"LOGOUT", ():
                return b'OK "Good bye"\r\n'
            case _:
                return _OK  # NOOP without a tag

    async def _put(self, name: bytes, script: bytes) -> bytes:
        if refusal := await self._check(script) or await self._space(name, len(script)):
            return refusal
        try:
            await self._mail.put_script(name.decode(), script)
        except OverQuotaError:
            return _FULL
        return _OK

    async def _check(self, script: bytes) -> bytes:
        """The refusal of a script that is not one of ours, empty for one that is."""
        if len(script) > MAX_SCRIPT_OCTETS:
            return _TOO_LONG
        try:
            await asyncio.to_thread(parse, script)
        except SieveError as error:
            return _no(str(error))
        return b""

    def _room(self, octets: int) -> bytes:
        """Whether the account's quota has room for a script of so many octets."""
        quota = self._mail.quota
        return _OK if quota is None or self._mail.usage() + octets <= quota else _FULL

    async def _space(self, name: bytes, octets: int) -> bytes:
        """Why no script of that name and length can be stored, empty if one can be."""
        fit = _fit_name(name)
        if fit is None:
            return _no("No script has that name")
        if octets > MAX_SCRIPT_OCTETS:
            return _TOO_LONG
        names = {script.name for script in await self._mail.scripts()}
        return _TOO_MANY if fit not in names and len(names) >= MAX_SCRIPTS else b""

    async def _get(self, name: bytes) -> bytes:
        fit = _fit_name(name)
        script = None if fit is None else await self._mail.script(fit)
        if script is None:
            return _MISSING
        return b"{%d}\r\n%b\r\n%b" % (len(script), script, _OK)

    async def _activate(self, name: bytes) -> bytes:
        if not name:
            await self._mail.activate_script(None)
            return _OK
        fit = _fit_name(name)
        done = fit is not None and await self._mail.activate_script(fit)
        return _OK if done else _MISSING

    async def _delete(self, name: bytes) -> bytes:
        fit = _fit_name(name)
        for script in await self._mail.scripts():
            if script.name == fit and script.is_active:
                return _ACTIVE
        done = fit is not None and await self._mail.delete_script(fit)
        return _OK if done else _MISSING

    async def _rename(self, name: bytes, new: bytes) -> bytes:
        before, after = _fit_name(name), _fit_name(new)
        if after is None:
            return _no("No script has that name")
        names = {script.name for script in await self._mail.scripts()}
        if before not in names:
            return _MISSING
        if after in names:
            return _THERE
        done = before is not None and await self._mail.rename_script(before, after)
        return _OK if done else _MISSING

    async def _list(self) -> bytes:
        lines = [
            string_for_client(script.name.encode()) + b" ACTIVE" * script.is_active
            for script in await self._mail.scripts()
        ]
        return b"".join(line + b"\r\n" for line in (*lines, _OK[:-2]))

    def _capabilities(self) -> bytes:
        shown = [OWN_IMPLEMENTATION, *(line.partition(" ")[::2] for line in self._offer)]
        lines = [
            b"%b %b\r\n" % (string_for_client(name.encode()), string_for_client(value.encode()))
            for name, value in (*shown, ("OWNER", self._owner))
        ]
        return b"".join(lines) + _OK


def _fit_name(name: bytes) -> str | None:
    """*name* as text, ``None`` where no script may have it (RFC 5804 section 1.6)."""
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return None
    if not text or len(text) > MAX_NAME_CHARACTERS:
        return None
    return None if any(unicodedata.category(one) in _NO_NAME for one in text) else text


def _no(why: str) -> bytes:
    return b"NO %b\r\n" % string_for_client(why.encode())
