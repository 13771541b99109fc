"""What is said to a backend at port 25 before its client is heard: TLS, and where he comes from.

The client sees one greeting, the last there was; all else he says to the backend himself.
"""

from __future__ import annotations

from collections.abc import Collection

from mailward.wire.dialogue import Accepted, Origin
from mailward.wire.login_dialogue import State
from mailward.wire.smtp.backend import SmtpLogin, xclient_command

_READY = 220


class SmtpArrival(SmtpLogin):
    """One connection to a backend at port 25; what is Accepted begins with the greeting."""

    def __init__(self, *, starttls: bool, origin: Origin | None) -> None:
        super().__init__(None, client_name=b"", starttls=starttls, origin=origin)
        self._greeting = b""

    def _replied(self, code: int, reply: list[bytes]) -> None:
        if code == _READY and self._state in {State.GREETING, State.ORIGIN}:
            before = b"".join(b"220-%b\r\n" % text for text in reply[:-1])
            self._greeting = before + b"220 %b\r\n" % reply[-1]
            if self._state is State.ORIGIN:
                self._arrive()
                return
        super()._replied(code, reply)

    def _go_on(self, keywords: tuple[str, ...]) -> None:
        self._keywords = keywords
        super()._go_on(keywords)

    def _log_in(self, _: tuple[str, ...]) -> None:
        self._arrive()

    def _arrive(self) -> None:
        self._finish(Accepted(self._keywords, self._greeting + self._lines.rest()))

    def _introduction(self, origin: Origin, known: Collection[str]) -> bytes:
        # How he calls himself, and in which protocol, is what he says next.
        told = {name.upper() for name in known} - {"PROTO", "HELO"}
        # A name that is not told would stay that of mailward's own address.
        name = b" NAME=[UNAVAILABLE]" if "NAME" in told else b""
        return xclient_command(origin, b"", told) + name
