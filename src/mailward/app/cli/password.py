"""Passwords that somebody types, and ``hash-password``: nothing is kept or sent anywhere there."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass

from mailward.app.cli.failures import FailedError
from mailward.app.cli.output import print_json


def hash_password(options: argparse.Namespace) -> int:
    """Ask twice on a terminal; from a pipe read one line."""
    from argon2 import PasswordHasher  # noqa: PLC0415 -- no other command has to wait for it

    hashed = PasswordHasher().hash(typed_password(from_pipe=not sys.stdin.isatty()))
    if options.json:
        print_json({"hash": hashed})
    else:
        print(hashed)
    return 0


def typed_password(*, from_pipe: bool) -> str:
    """A new password: typed twice, unseen, or one line *from_pipe*.

    Raises:
        FailedError: there is none, or the two differ.
    """
    if from_pipe:
        try:
            password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
        except UnicodeDecodeError:
            raise FailedError("the password is no UTF-8 text; nothing was changed") from None
    elif not sys.stdin.isatty():
        raise FailedError(
            "there is no terminal to ask for a password; send one with --password-stdin"
        )
    else:
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise FailedError("the two passwords differ; nothing was changed")
    if not password:
        raise FailedError("the password is empty; type one or send it in a pipe")
    return password
