"""How Cyrus timsieved reads a logged-in client, faults included.

A command that it does not like it leaves where it stopped, and takes the rest of the line for the
next one; the literals behind an unknown command are commands to it; and an octet above 127 in
quotes ends the line for it.
"""

from __future__ import annotations

from collections.abc import Iterator

NEVER_TWICE = {b"AUTHENTICATE", b"STARTTLS", b"UNAUTHENTICATE"}
ARGUMENTS = {
    b"CAPABILITY": [""],
    b"CHECKSCRIPT": [" s"],
    b"DELETESCRIPT": [" s"],
    b"GETSCRIPT": [" s"],
    b"HAVESPACE": [" s n"],
    b"LISTSCRIPTS": [""],
    b"LOGOUT": [""],
    b"NOOP": ["", " s"],
    b"PUTSCRIPT": [" s s"],
    b"RENAMESCRIPT": [" s s"],
    b"SETACTIVE": [" s"],
    b"AUTHENTICATE": [" s", " s s"],
    b"STARTTLS": [""],
    b"UNAUTHENTICATE": [""],
}


class EndOfDataError(Exception):
    """More has to come before there is another word."""


class Timsieved:
    """Reads *octets*. ``s`` is a string, ``n`` a number, ``$`` the end of a line."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def commands(self) -> Iterator[bytes]:
        """The name of each command that it would carry out, and ``?`` for each error."""
        try:
            while True:
                yield self._command()
        except EndOfDataError:
            return

    def _command(self) -> bytes:
        name = self._token()
        while name == "$":
            name = self._token()
        forms = ARGUMENTS.get(name.encode(), [])
        read = ""
        while any(f"{form}$".startswith(read) for form in forms):
            if read.endswith("$"):
                return name.encode()
            read += self._token()
        return b"?"

    def _token(self) -> str:  # noqa: PLR0911 -- one for each kind
        octet = self._next()
        if octet.isalpha():
            self._at -= 1
            return self._word()
        if octet.isdigit():
            while self._peek().isdigit():
                self._at += 1
            return "n"
        match octet:
            case b" ":
                return " "
            case b'"':
                return self._quoted()
            case b"{":
                return self._literal()
            case b"\n":
                return "$"
            case b"\r":
                return "$" if self._next() == b"\n" else self._give_up()
            case _:
                return "?"

    def _word(self) -> str:
        start = self._at
        while self._peek().isalpha():
            self._at += 1
        name = self._octets[start : self._at].upper()
        return name.decode() if name in ARGUMENTS else self._give_up()

    def _quoted(self) -> str:
        while (octet := self._next()) != b'"':
            if octet == b"\\":
                octet = self._next()
                if octet not in {b'"', b"\\"}:
                    return self._give_up()
            elif octet in {b"\0", b"\r", b"\n"} or octet > b"\x7f":
                return self._give_up()
        return "s"

    def _literal(self) -> str:
        start = self._at
        while self._peek().isdigit():
            self._at += 1
        digits = self._octets[start : self._at]
        for wanted in (b"+", b"}", b"\r", b"\n"):
            if self._next() != wanted:
                return self._give_up()
        self._at += int(digits or b"0")
        self._peek()
        return "s"

    def _give_up(self) -> str:
        self._at -= 1
        while self._next() != b"\n":
            pass
        return "?"

    def _peek(self) -> bytes:
        if self._at >= len(self._octets):
            raise EndOfDataError
        return self._octets[self._at : self._at + 1]

    def _next(self) -> bytes:
        octet = self._peek()
        self._at += 1
        return octet
