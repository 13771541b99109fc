"""A web application (ASGI) that shares the guard: who guesses there is banned from the mail, too.

    app = GuardedLogin(webmail, AsyncReportClient("/var/lib/mailward/mailward.sock", "webmail"))

It looks at one path only, where HTTP Basic is checked: 401 to credentials is a failure. Behind a
proxy let the server fill in the client's address (``uvicorn --proxy-headers``), or one ban hits
everybody.
"""

from __future__ import annotations

import binascii
import logging
from base64 import b64decode
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from mailward import AsyncReportClient
from mailward.client.news import GuardError

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]

_OK, _UNAUTHORIZED, _TOO_MANY = 200, 401, 429
_log = logging.getLogger(__name__)


class GuardedLogin:
    """Middleware before *app*, for its *path*."""

    def __init__(self, app: Application, guard: AsyncReportClient, path: str = "/login") -> None:
        self._app = app
        self._guard = guard
        self._path = path

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        login = _login(scope) if scope["type"] == "http" and scope["path"] == self._path else None
        if login is None or not scope["client"]:
            await self._app(scope, receive, send)
            return
        address = scope["client"][0]
        if not await self._allows(address, login):
            headers = [(b"retry-after", b"3600"), (b"content-length", b"0")]
            await send({"type": "http.response.start", "status": _TOO_MANY, "headers": headers})
            await send({"type": "http.response.body"})
            return

        async def watch(message: Message) -> None:
            if message["type"] == "http.response.start":
                # Before the answer goes out: who hears "wrong" is counted already.
                await self._tell(address, login, message["status"])
            await send(message)

        await self._app(scope, receive, watch)

    async def _allows(self, address: str, login: str) -> bool:
        try:
            return await self._guard.allows(address, login)
        except GuardError as error:
            _log.warning("%s", error)
            return True  # the webmail goes on without a guard; say False where it must not

    async def _tell(self, address: str, login: str, status: int) -> None:
        try:
            if status == _UNAUTHORIZED:
                await self._guard.failed(address, login)
            elif status == _OK:
                await self._guard.succeeded(address, login)
        except GuardError as error:
            _log.warning("%s", error)


def _login(scope: Message) -> str | None:
    """Whom the credentials of a request name (RFC 7617)."""
    for name, value in scope["headers"]:
        scheme, _, token = value.partition(b" ")
        if name == b"authorization" and scheme.lower() == b"basic":
            try:
                user: bytes = b64decode(token, validate=True).partition(b":")[0]
            except binascii.Error:
                return None
            return user.decode(errors="replace") or None
    return None
