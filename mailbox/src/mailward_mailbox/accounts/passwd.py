"""Dovecot's passwd-file: a name, a password and more in each line, with colons between."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailward.wire.secret import Secret
from mailward_mailbox.accounts.errors import Misread, UnfitAccountError
from mailward_mailbox.accounts.names import fit_account_name
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.accounts.schemes import (
    PLAIN,
    SCRAM,
    SchemeError,
    read_scheme,
    read_scram,
)
from mailward_mailbox.accounts.scram import ScramKeys

LOCKED = ("!", "*")
"""What passwd(5) begins the password of somebody with who may not log in."""


@dataclass(frozen=True, slots=True)
class Imported:
    """One line: *plain* is a password, or *hashed* is what is kept of one."""

    line: int
    name: str
    plain: Secret | None
    hashed: str = field(repr=False)
    scram: ScramKeys | None
    is_enabled: bool


def read_passwd(lines: Sequence[str], naming: AccountNaming) -> Iterator[Imported | Misread]:
    """Every line that names somebody, or what is wrong with it. Lines count from 1."""
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        name, colon, rest = text.partition(":")
        password = rest.split(":", 1)[0]
        if not colon or not password:
            yield Misread(number, "there is no password behind the name")
            continue
        try:
            name = fit_account_name(name, naming)
            yield _imported(number, name, password)
        except (UnfitAccountError, SchemeError) as error:
            yield Misread(number, str(error))


def _imported(line: int, name: str, password: str) -> Imported:
    is_enabled = not password.startswith(LOCKED)
    scheme, rest = read_scheme(password.lstrip("".join(LOCKED)))
    if scheme == PLAIN:
        if not rest:
            raise SchemeError("the password is empty")
        return Imported(line, name, Secret(rest.encode()), "", None, is_enabled)
    scram = read_scram(rest) if scheme == SCRAM else None
    hashed = rest if scheme == "ARGON2ID" else f"{{{scheme}}}{rest}"
    return Imported(line, name, None, hashed, scram, is_enabled)
