"""What can go wrong with accounts, for operators, and what they are shown of one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class AccountError(Exception):
    """An account cannot be looked at or changed as was asked for; the message says why."""


class NoSuchAccountError(AccountError):
    """There is no account of that name."""


class AccountExistsError(AccountError):
    """There is an account of that name already."""


class UnfitAccountError(AccountError):
    """A name or a password that no account may have."""


class AccountStorageError(AccountError):
    """The file of the accounts cannot be read or written now."""


class AccountsInUseError(AccountStorageError):
    """Another process has the files."""


class AccountBusyError(AccountError):
    """Too many passwords are being hashed; later it can be done."""


@dataclass(frozen=True, slots=True)
class Misread:
    """What is wrong with one line of a list of accounts; lines count from 1."""

    line: int
    why: str


class MisreadError(AccountError):
    """A list of accounts has lines that cannot be taken; nothing of it was."""

    def __init__(self, misread: Sequence[Misread]) -> None:
        super().__init__(f"{len(misread)} lines cannot be taken; nothing was changed")
        self.misread = misread


@dataclass(frozen=True, slots=True)
class AccountView:
    """One account, as an operator sees it. *scheme* is how its password is hashed."""

    name: str
    is_enabled: bool
    scheme: str
    has_scram: bool
