"""A Debian in a folder with Cyrus in it: it cannot be installed beside Dovecot.

Made by debootstrap from where this Debian itself gets its packages, which takes a minute; kept for
later runs. Nothing that a server writes into it stays.
"""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tests.real.processes import ServerError
from tests.real.syslog import Syslog

_KEPT = Path("/var/cache/mailward-tests")
# The last one is the smallest program that can stand for the MTA which Cyrus insists on.
_PACKAGES = ("cyrus-imapd", "cyrus-caldav", "sasl2-bin", "msmtp-mta")
_BUILD_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Root:
    """The folder, and what is logged by all that runs in it."""

    folder: Path
    syslog: Syslog


@contextmanager
def cyrus_root() -> Iterator[Root]:
    """For us alone as long as we have it: it has one /dev/log.

    Raises:
        ServerError: it cannot be made; nothing is left of the attempt.
    """
    release = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    recipe = sha256(" ".join(_PACKAGES).encode()).hexdigest()[:8]
    root = _KEPT / f"cyrus-{release}-{recipe}"
    _KEPT.mkdir(parents=True, exist_ok=True)
    with (_KEPT / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _build(root, release)
        with closing(Syslog(root / "dev" / "log")) as syslog:
            yield Root(root, syslog)


def _build(root: Path, release: str) -> None:
    """Make *root* in one step, as seen from outside: under another name until it is whole."""
    unfinished = root.with_name(root.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    try:
        # In namespaces of its own all it mounts and starts is gone with it, however it ends.
        done = subprocess.run(
            [
                *["unshare", "--mount", "--pid", "--fork", "--kill-child"],
                *["debootstrap", "--variant=minbase", f"--include={','.join(_PACKAGES)}"],
                release,
                unfinished,
                _mirror(release),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"no Cyrus: debootstrap failed:\n{done.stdout[-4000:]}")
        shutil.rmtree(unfinished / "var" / "cache" / "apt" / "archives")
        unfinished.rename(root)
    except FileNotFoundError as error:
        raise ServerError(
            f"no Cyrus: {error.filename} is missing; run tests/real/install.sh as root"
        ) from None
    except subprocess.TimeoutExpired:
        raise ServerError(f"no Cyrus: not made within {_BUILD_SECONDS} s") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _mirror(release: str) -> str:
    """Where apt gets the packages of *release* from."""
    told = subprocess.run(
        [
            *["apt-get", "indextargets", "--format", "$(REPO_URI)"],
            *["Created-By: Packages", "Origin: Debian", f"Codename: {release}", "Component: main"],
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if not (mirrors := told.stdout.split()):
        raise ServerError(
            f"no Cyrus: apt knows no packages of Debian's {release or 'release'};"
            " run apt-get update as root"
        )
    return mirrors[0]
