"""What can go wrong with accounts, for operators."""

from mailward.backends.port import (
    AccountBusyError,
    AccountError,
    AccountExistsError,
    AccountsInUseError,
    AccountStorageError,
    AccountView,
    Misread,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)

__all__ = [
    "AccountBusyError",
    "AccountError",
    "AccountExistsError",
    "AccountStorageError",
    "AccountView",
    "AccountsInUseError",
    "Misread",
    "MisreadError",
    "NoSuchAccountError",
    "UnfitAccountError",
]
