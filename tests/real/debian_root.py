"""A Debian in a folder, with what cannot be installed beside the rest: another release, Cyrus.

Made by debootstrap from where this Debian itself gets its packages; kept for later runs.
"""

from __future__ import annotations

import fcntl
import platform
import shutil
import subprocess
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from tests.real.processes import ServerError

KEPT = Path("/var/cache/mailward-tests")
_BUILD_SECONDS = 900


def this_release() -> str:
    """The code name of the Debian that runs the tests."""
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def debian_root(what: str, release: str, packages: Sequence[str]) -> Path:
    """The root of a Debian *release* that has *packages*, made if there is none yet.

    Raises:
        ServerError: it cannot be made; nothing is left of the attempt.
    """
    recipe = sha256(" ".join(packages).encode()).hexdigest()[:8]
    root = KEPT / f"{what}-{release}-{recipe}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{root.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            _build(root, release, packages)
    return root


def _build(root: Path, release: str, packages: Sequence[str]) -> None:
    """Make *root* in one step, as seen from outside: under another name until it is whole."""
    unfinished = root.with_name(root.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
    try:
        # In namespaces of its own all it mounts and starts is gone with it, however it ends.
        done = subprocess.run(
            [
                *["unshare", "--mount", "--pid", "--fork", "--kill-child"],
                *["debootstrap", "--variant=minbase", f"--include={','.join(packages)}"],
                release,
                unfinished,
                _mirror(),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_BUILD_SECONDS,
            check=False,
        )
        if done.returncode:
            raise ServerError(f"no {root.name}: debootstrap failed:\n{done.stdout[-4000:]}")
        shutil.rmtree(unfinished / "var" / "cache" / "apt" / "archives")
        unfinished.rename(root)
    except FileNotFoundError as error:
        raise ServerError(
            f"no {root.name}: {error.filename} is missing; run tests/real/install.sh as root"
        ) from None
    except subprocess.TimeoutExpired:
        raise ServerError(f"no {root.name}: not made within {_BUILD_SECONDS} s") from None
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _mirror() -> str:
    """Where apt gets the packages of this Debian from; it has those of the others, too."""
    release = this_release()
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
            f"apt knows no packages of Debian's {release or 'release'}; run apt-get update as root"
        )
    return mirrors[0]
