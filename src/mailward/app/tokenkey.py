"""The key of the digests of good tokens: a file of the data directory that only its owner reads.

It stands beside the database, so that a copy of the database alone says nothing about any token.
"""

from __future__ import annotations

import os
import secrets
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from mailward.guard.tokens import KEY_OCTETS

KEY_NAME = "token.key"
_OTHERS = 0o077


class TokenKeyError(Exception):
    """The key cannot be used; the message says what to do."""


def check_token_key(data: Path) -> Iterator[str]:
    """Why the key in *data* cannot be used, if there is one; nothing is made or changed."""
    try:
        _read(data / KEY_NAME)
    except TokenKeyError as error:
        yield str(error)
    except FileNotFoundError:
        return


def token_key(data: Path) -> bytes:
    """The key in *data*, made at the first start.

    Raises:
        TokenKeyError: others can read it, it has another length, or it cannot be read or made.
    """
    path = data / KEY_NAME
    try:
        return _read(path)
    except FileNotFoundError:
        return _made(path)


def _read(path: Path) -> bytes:
    """The key at *path*.

    Raises:
        FileNotFoundError: there is none.
        TokenKeyError: as above.
    """
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            found = os.fstat(file)
            key = os.read(file, KEY_OCTETS + 1) if stat.S_ISREG(found.st_mode) else b""
        finally:
            os.close(file)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise TokenKeyError(
            f"{path}: it cannot be read ({error.strerror}); give it to the user of the daemon, or"
            " delete it to have a new one made"
        ) from None
    if not stat.S_ISREG(found.st_mode):
        raise TokenKeyError(f"{path}: it is no file; move it away to have a new one made")
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise TokenKeyError(
            f"{path}: it is for its owner alone, but its mode is {mode:04o}; run: chmod 600"
            f" {shlex.quote(str(path))}"
        )
    if len(key) != KEY_OCTETS:
        size = found.st_size
        raise TokenKeyError(
            f"{path}: it has {size} octets and should have {KEY_OCTETS}; restore it, or delete it"
            " to have a new one made (tokens that have expired count once as failures then)"
        )
    return key


def _made(path: Path) -> bytes:
    key = secrets.token_bytes(KEY_OCTETS)
    fresh = path.with_name(f"{path.name}.new")
    try:
        fresh.unlink(missing_ok=True)
        # Whole or not at all: a crash leaves no half of a key that would stop the next start.
        file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.write(file, key)
            os.fsync(file)
        finally:
            os.close(file)
        fresh.rename(path)
    except OSError as error:
        raise TokenKeyError(
            f"{path}: it cannot be made ({error.strerror}); make room, and the folder writable"
        ) from None
    return key
