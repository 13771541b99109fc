"""Faults of a configuration: where they stand, which key they are about, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from mailward.rules.marks import with_few_marks

STORED = "(stored)"
"""Stands where a file's name would, for a key that an operator added while running."""

_MAX_SHOWN = 400  # a fault is read by a person: a megabyte of junk in a value is cut off
_LOGINS_AND_NETWORKS = "server.security."


class WrongValueError(ValueError):
    """A value that a key does not take; the message says what it takes instead."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong, printed as ``FILE:LINE: KEY: message`` on one line.

    >>> print(Fault("mail.toml", 3, "server.hostname", "is set twice"))
    mail.toml:3: server.hostname: is set twice
    >>> print(Fault(STORED, None, "store.typ", "unknown key"))
    (stored): store.typ: unknown key
    """

    file: str | None
    line: int | None
    key: str | None
    message: str

    def __str__(self) -> str:
        place = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        key = None if self.key is None else shown_key(self.key)
        return ": ".join(_printable(part) for part in (place, key, self.message) if part)


class SettingsError(Exception):
    """A configuration that cannot be used; *faults* are all that is wrong with it.

    One that *may_pass* can be right at the next try, though nobody changes it: a port was taken.
    """

    def __init__(self, faults: Iterable[Fault], *, may_pass: bool = False) -> None:
        self.faults = tuple(faults)
        self.may_pass = may_pass
        super().__init__("\n".join(map(str, self.faults)))


def is_secret(key: str) -> bool:
    """Whether the value of *key* must never be shown."""
    return key.endswith("secret") and not key.startswith(_LOGINS_AND_NETWORKS)


def shown_key(key: str) -> str:
    """*key* as it may be printed: a secret written as a list would have become part of its key.

    >>> shown_key("management.admin.secret.$argon2id$abc")
    'management.admin.secret.***'
    """
    stem, dot, _ = key.partition("secret.")
    if dot and not key.startswith(_LOGINS_AND_NETWORKS):
        return f"{stem}secret.***"
    return key


def _printable(text: str) -> str:
    if len(text) > _MAX_SHOWN:
        text = f"{text[:_MAX_SHOWN]}..."
    return with_few_marks(
        "".join(
            char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
        )
    )
