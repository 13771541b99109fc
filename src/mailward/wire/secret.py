"""A value that does not print itself."""

from __future__ import annotations


class Secret:
    """Wraps a password from the byte it leaves the parser to the byte it reaches the backend.

    >>> Secret(b"hunter2")
    Secret(***)
    >>> f"{Secret(b'hunter2')}"
    'Secret(***)'
    >>> Secret(b"hunter2").reveal()
    b'hunter2'
    """

    __slots__ = ("_octets",)

    def __init__(self, octets: bytes) -> None:
        self._octets = octets

    def __repr__(self) -> str:
        return "Secret(***)"

    def __reduce__(self) -> str:
        raise TypeError("a secret is never pickled or copied")

    def reveal(self) -> bytes:
        return self._octets
