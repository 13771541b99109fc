"""Sessions in a test of the API, without a door."""

from __future__ import annotations

from ipaddress import ip_address

from mailward.guard.sessions import LoggedIn
from mailward.rules.model import Login
from tests.admin.house import House


class Line:
    """The connections of a session."""

    is_cut = False

    def octets(self) -> tuple[int, int]:
        return 1_234, 56_789

    def cut(self) -> None:
        self.is_cut = True


def log_in(
    house: House,
    login: str | None,
    address: str = "192.0.2.1",
    mailbox: str | None = None,
    *,
    is_passage: bool = False,
) -> Line:
    """A session that is logged in from now on."""
    line = Line()
    name = None if login is None else Login(login)
    session = LoggedIn(
        *(line, ip_address(address), name, name if mailbox is None else Login(mailbox)),
        *("imap", "imaps", "0a0b0c0d", house.now),
        is_passage=is_passage,
    )

    async def add() -> None:
        house.guard.sessions.add(session)

    house.call(add())
    return line
