"""The control socket: one JSON object a line asks, one answers."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from mailward.wire.secret import Secret
from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.errors import (
    AccountBusyError,
    AccountError,
    AccountExistsError,
    AccountView,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)
from mailward_mailbox.stream import Stream

MAX_LINE_OCTETS = 16 * 1_048_576
MAX_CONNECTIONS = 8
LINE_SECONDS = 60.0
"""Between two requests, and from the first octet of one to its last."""

Json = dict[str, Any]


class _RequestError(Exception):
    """A request that is none; the message says why."""


class Control:
    """Answers what an operator asks of *accounts*; *faults* gives what is wrong at present."""

    def __init__(self, accounts: Accounts, faults: Callable[[], Sequence[str]]) -> None:
        self._accounts = accounts
        self._faults = faults
        self._connections = 0
        self._answers: Mapping[str, Callable[[Json], Awaitable[Json]]] = {
            "status": self._status,
            "accounts.list": self._list,
            "accounts.one": self._one,
            "accounts.add": self._add,
            "accounts.set_password": self._set_password,
            "accounts.set_enabled": self._set_enabled,
            "accounts.remove": self._remove,
            "accounts.import": self._import,
        }

    async def serve(self, stream: Stream, _: socket.socket) -> None:
        """Answer one connection's requests, one after the other.

        Raises:
            ConnectionError: the connection broke.
        """
        if self._connections >= MAX_CONNECTIONS:
            stream.write(_line({"error": "busy", "message": "too many ask at once"}))
            return
        self._connections += 1
        try:
            with suppress(TimeoutError):
                while line := await _next_line(stream):
                    stream.write(_line(await self.answer(line)))
                    await stream.drain()
        except _RequestError as error:
            stream.write(_line({"error": "unfit", "message": str(error)}))
        finally:
            self._connections -= 1

    async def answer(self, line: bytes) -> Json:
        """The answer to one request."""
        try:
            request = json.loads(line)
            asked = request.get("do") if isinstance(request, dict) else None
            return await self._answers.get(str(asked), _unknown)(request)
        except (ValueError, RecursionError):
            return {"error": "unfit", "message": "a request is a JSON object"}
        except _RequestError as error:
            return {"error": "unfit", "message": str(error)}
        except MisreadError as error:
            misread = [{"line": one.line, "why": one.why} for one in error.misread]
            return {"error": "misread", "message": str(error), "misread": misread}
        except AccountError as error:
            return {"error": _kind(error), "message": str(error)}

    async def _status(self, _: Json) -> Json:
        return {"accounts": self._accounts.count, "faults": [*self._faults()]}

    async def _list(self, _: Json) -> Json:
        return {"accounts": [_row(view) for view in self._accounts.everybody()]}

    async def _one(self, request: Json) -> Json:
        return {"account": _row(self._accounts.one(_text(request, "name")))}

    async def _add(self, request: Json) -> Json:
        view = await self._accounts.add(_text(request, "name"), _password(request))
        return {"account": _row(view)}

    async def _set_password(self, request: Json) -> Json:
        view = await self._accounts.set_password(_text(request, "name"), _password(request))
        return {"account": _row(view)}

    async def _set_enabled(self, request: Json) -> Json:
        is_enabled = _flag(request, "is_enabled")
        view = await self._accounts.set_enabled(_text(request, "name"), is_enabled=is_enabled)
        return {"account": _row(view)}

    async def _remove(self, request: Json) -> Json:
        return {"account": _row(await self._accounts.remove(_text(request, "name")))}

    async def _import(self, request: Json) -> Json:
        lines = request.get("lines")
        if not isinstance(lines, list) or not all(isinstance(line, str) for line in lines):
            raise _RequestError('"lines" must be a list of strings')
        is_check = "check" in request and _flag(request, "check")
        return {"count": await self._accounts.take_in(lines, check=is_check)}


async def _unknown(_: Json) -> Json:
    raise _RequestError('a request is a JSON object whose "do" is known here')


async def _next_line(stream: Stream) -> bytes:
    """The next request; empty at the end.

    Raises:
        TimeoutError: it did not come in time.
        _RequestError: it is too long.
    """
    line = bytearray()
    async with asyncio.timeout(LINE_SECONDS):
        while piece := await stream.read():
            start, newline, rest = piece.partition(b"\n")
            line += start
            if len(line) > MAX_LINE_OCTETS:
                raise _RequestError(f"a request has {MAX_LINE_OCTETS} octets at most")
            if newline:
                stream.give_back(rest)
                return bytes(line) + newline
    return bytes(line)


def _line(answer: Json) -> bytes:
    return json.dumps(answer).encode() + b"\n"


def _kind(error: AccountError) -> str:
    match error:
        case NoSuchAccountError():
            return "missing"
        case AccountExistsError():
            return "exists"
        case UnfitAccountError():
            return "unfit"
        case AccountBusyError():
            return "busy"
        case _:
            return "storage"


def _row(view: AccountView) -> Json:
    return {
        "name": view.name,
        "is_enabled": view.is_enabled,
        "scheme": view.scheme,
        "has_scram": view.has_scram,
    }


def _text(request: Json, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str):
        raise _RequestError(f'"{name}" must be a string')
    return value


def _flag(request: Json, name: str) -> bool:
    value = request.get(name)
    if not isinstance(value, bool):
        raise _RequestError(f'"{name}" must be true or false')
    return value


def _password(request: Json) -> Secret:
    try:
        return Secret(_text(request, "password").encode())
    except UnicodeEncodeError:
        raise _RequestError("a password is text") from None
