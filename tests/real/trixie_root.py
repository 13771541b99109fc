"""Debian 13 in a folder: Dovecot 2.4, Postfix 3.10 and Roundcube 1.6, whatever runs the tests.

What is found there at a path of its own is found here at the same path, so programs of both sides
share files and sockets. Nothing that a server writes into it stays.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.debian_root import debian_root

_PACKAGES = (
    "dovecot-imapd",
    "dovecot-managesieved",
    "dovecot-submissiond",
    "dovecot-sqlite",
    "postfix",
    "roundcube-core",
    "roundcube-sqlite3",
    "roundcube-plugins",
    "php-cli",
    "php-sqlite3",
)


def trixie_root() -> Path:
    """The root, made if there is none yet; any number of runs may use it at once.

    Raises:
        ServerError: it cannot be made; nothing is left of the attempt.
    """
    return debian_root("mail", "trixie", _PACKAGES)


@contextmanager
def shared_folder(root: Path) -> Iterator[Path]:
    """A folder that has the same path in *root* and outside of it; gone afterwards."""
    within = Path(tempfile.mkdtemp(prefix="mailward-", dir=root / "tmp"))
    within.chmod(0o755)
    folder = Path("/") / within.relative_to(root)
    folder.symlink_to(within)
    try:
        yield folder
    finally:
        folder.unlink()
        shutil.rmtree(within)
