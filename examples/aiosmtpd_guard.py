"""An SMTP server of one's own (aiosmtpd) that shares the guard: nobody guesses there for free.

handler = GuardedLogins(AsyncReportClient("/var/lib/mailward/mailward.sock", "submission2"),
                        is_right)
Controller(handler, authenticator=offered, auth_required=True).start()
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from mailward import AsyncReportClient
from mailward.client.news import GuardError

TRY_LATER = "454 4.7.0 Temporary authentication failure"  # RFC 4954 section 6
_log = logging.getLogger(__name__)


def offered(
    server: SMTP, session: Session, envelope: Envelope, mechanism: str, pair: LoginPassword
) -> AuthResult:
    """Only hand over what was offered: it is judged where one may wait, in the handler."""
    del server, session, envelope, mechanism
    return AuthResult(success=True, auth_data=pair)


class GuardedLogins:
    """A handler of aiosmtpd. *is_right* knows the passwords."""

    def __init__(self, guard: AsyncReportClient, is_right: Callable[[bytes, bytes], bool]) -> None:
        self._guard = guard
        self._is_right = is_right

    async def auth_PLAIN(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 -- aiosmtpd's
        return await self._judged(server, await server.auth_PLAIN(server, args))

    async def auth_LOGIN(self, server: SMTP, args: list[str]) -> AuthResult:  # noqa: N802 -- aiosmtpd's
        return await self._judged(server, await server.auth_LOGIN(server, args))

    async def _judged(self, server: SMTP, offer: AuthResult) -> AuthResult:
        pair = offer.auth_data
        if not offer.success or not isinstance(pair, LoginPassword) or server.session is None:
            return offer
        address = str(server.session.peer[0])  # type: ignore[index] # a pair, over TCP
        login = pair.login.decode(errors="replace")
        if not await self._allows(address, login):
            return AuthResult(success=False, handled=False, message=TRY_LATER)
        is_right = self._is_right(pair.login, pair.password)
        await self._tell(address, login, is_right=is_right)
        return offer if is_right else AuthResult(success=False, handled=False)

    async def _allows(self, address: str, login: str) -> bool:
        try:
            return await self._guard.allows(address, login)
        except GuardError as error:
            _log.warning("%s", error)
            return True  # our mail goes on without a guard; say False where it must not

    async def _tell(self, address: str, login: str, *, is_right: bool) -> None:
        tell = self._guard.succeeded if is_right else self._guard.failed
        try:
            await tell(address, login)
        except GuardError as error:
            _log.warning("%s", error)
