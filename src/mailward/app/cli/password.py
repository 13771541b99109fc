"""``hash-password``: a password in, its hash out. Nothing is kept or sent anywhere."""

from __future__ import annotations

import argparse
import sys
from getpass import getpass

from mailward.app.cli.failures import FailedError
from mailward.app.cli.output import print_json


def hash_password(options: argparse.Namespace) -> int:
    """Ask twice on a terminal; from a pipe read one line."""
    from argon2 import PasswordHasher  # noqa: PLC0415 -- no other command has to wait for it

    if sys.stdin.isatty():
        password = getpass("Password: ")
        if getpass("Again: ") != password:
            raise FailedError("the two passwords differ; nothing was hashed")
    else:
        password = sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not password:
        raise FailedError("the password is empty; type one or send it in a pipe")
    hashed = PasswordHasher().hash(password)
    if options.json:
        print_json({"hash": hashed})
    else:
        print(hashed)
    return 0
