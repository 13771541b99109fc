"""The accounts of the built-in mail server, asked for and changed over its control socket.

One JSON object a line asks, one answers, with a connection of its own for each.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from mailward.backends.port import (
    AccountBusyError,
    AccountError,
    AccountExistsError,
    AccountStorageError,
    AccountView,
    Misread,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)
from mailward.wire.secret import Secret

MAX_LINE_OCTETS = 16 * 1_048_576
ANSWER_SECONDS = 30.0
IMPORT_SECONDS = 60.0
"""A plain password in a list is hashed, 20 ms for each."""
_ERRORS: Mapping[object, type[AccountError]] = {
    "missing": NoSuchAccountError,
    "exists": AccountExistsError,
    "unfit": UnfitAccountError,
    "busy": AccountBusyError,
    "storage": AccountStorageError,
}
_Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class MailboxStatus:
    """How many accounts there are, and what an operator should look at."""

    accounts: int
    faults: tuple[str, ...]


class MailboxAccounts:
    """The accounts, for operators; *path* is that of the control socket.

    Everything that is changed is on the disk when it returns. All of it raises
    :class:`AccountError`.

    A server that is not there, or does not answer in time, is an :class:`AccountStorageError`. What
    is asked before *settled* waits for that. *when_changed* is called after each change.
    """

    def __init__(
        self,
        path: str,
        settled: asyncio.Event | None = None,
        when_changed: Callable[[], None] = lambda: None,
    ) -> None:
        self._path = path
        self._settled = settled
        self._when_changed = when_changed

    async def status(self) -> MailboxStatus:
        answer = await self._ask({"do": "status"})
        count, faults = answer.get("accounts"), answer.get("faults")
        if not isinstance(count, int) or not isinstance(faults, list):
            raise _unreadable()
        return MailboxStatus(count, tuple(map(str, faults)))

    async def everybody(self) -> Sequence[AccountView]:
        rows = (await self._ask({"do": "accounts.list"})).get("accounts")
        if not isinstance(rows, list):
            raise _unreadable()
        return [_view(row) for row in rows]

    async def one(self, name: str) -> AccountView:
        return await self._account("one", name)

    async def add(self, name: str, password: Secret) -> AccountView:
        return await self._changed("add", name, password=_text(password))

    async def set_password(self, name: str, password: Secret) -> AccountView:
        return await self._changed("set_password", name, password=_text(password))

    async def set_enabled(self, name: str, *, is_enabled: bool) -> AccountView:
        return await self._changed("set_enabled", name, is_enabled=is_enabled)

    async def remove(self, name: str) -> AccountView:
        return await self._changed("remove", name)

    async def take_in(self, lines: Sequence[str], *, check: bool = False) -> int:
        """Take in the lines of a passwd-file of Dovecot, all or none; how many accounts they are.

        With *check* it is only asked what would be wrong.
        """
        request = {"do": "accounts.import", "lines": list(lines), "check": check}
        count = (await self._ask(request, IMPORT_SECONDS)).get("count")
        if not isinstance(count, int):
            raise _unreadable()
        self._when_changed()
        return count

    # -- inside --------------------------------------------------------------------------------

    async def _changed(self, what: str, name: str, **more: object) -> AccountView:
        view = await self._account(what, name, **more)
        self._when_changed()
        return view

    async def _account(self, what: str, name: str, **more: object) -> AccountView:
        return _view(
            (await self._ask({"do": f"accounts.{what}", "name": name, **more})).get("account")
        )

    async def _ask(self, request: _Json, seconds: float = ANSWER_SECONDS) -> _Json:
        """The answer to *request*, which is no error.

        Raises:
            AccountError: the answer is one, or none came.
        """
        line = json.dumps(request).encode() + b"\n"
        if len(line) > MAX_LINE_OCTETS:
            raise UnfitAccountError("that is too much at once")
        try:
            async with asyncio.timeout(seconds):
                if self._settled is not None:
                    await self._settled.wait()
                answer = await self._answer(line)
        except TimeoutError:
            raise AccountStorageError("the built-in mail server does not answer in time") from None
        except OSError as error:
            why = error.strerror or error
            raise AccountStorageError(
                f"the built-in mail server does not answer: unix:{self._path}: {why}"
            ) from None
        return _without_error(answer)

    async def _answer(self, line: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path, limit=MAX_LINE_OCTETS)
        try:
            writer.write(line)
            await writer.drain()
            with suppress(ValueError):  # the line is too long
                return await reader.readline()
            return b""
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()


def _without_error(line: bytes) -> _Json:
    try:
        answer = json.loads(line)
    except (ValueError, RecursionError):
        raise _unreadable() from None
    if not isinstance(answer, dict):
        raise _unreadable()
    if "error" not in answer:
        return answer
    if answer["error"] == "misread":
        raise MisreadError(_misread(answer.get("misread")))
    why = str(answer.get("message", answer["error"]))
    raise _ERRORS.get(answer["error"], AccountStorageError)(why)


def _misread(rows: object) -> list[Misread]:
    if not isinstance(rows, list):
        raise _unreadable()
    try:
        return [Misread(int(row["line"]), str(row["why"])) for row in rows]
    except (TypeError, KeyError, ValueError):
        raise _unreadable() from None


def _view(row: object) -> AccountView:
    match row:
        case {
            "name": str(name),
            "is_enabled": bool(is_enabled),
            "scheme": str(scheme),
            "has_scram": bool(has_scram),
        }:
            return AccountView(name, is_enabled, scheme, has_scram)
        case _:
            raise _unreadable()


def _text(password: Secret) -> str:
    return password.reveal().decode()


def _unreadable() -> AccountStorageError:
    return AccountStorageError("the built-in mail server gives an answer that cannot be read")
