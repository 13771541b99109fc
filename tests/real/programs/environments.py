"""Programs from PyPI and npm, each with all it needs in an environment of its own.

An environment is made from a list of pinned versions with their hashes, by the ordinary client of
the registry as it is set up on this machine, and kept for later runs.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path

from tests.real.debian_root import KEPT
from tests.real.processes import ServerError
from tests.real.servers import program

HERE = Path(__file__).parent
_BUILD = HERE.parents[2] / "requirements" / "build.txt"
_BUILD_SECONDS = 300


def python_of(requirements: Path) -> Path:
    """A Python interpreter with *requirements* and nothing of ours.

    Raises:
        ServerError: it cannot be made; nothing is left of the attempt.
    """

    def make(folder: Path) -> None:
        _run(sys.executable, "-m", "venv", folder)
        python = folder / "bin" / "python"
        pip = ["-m", "pip", "install", "-q", "--disable-pip-version-check", "--require-hashes"]
        _run(python, *pip, "-r", _BUILD)
        _run(python, *pip, "--no-build-isolation", "-r", requirements)

    return _kept(f"python{sys.version_info.minor}", [_BUILD, requirements], make) / "bin/python"


def node_modules(pinned: Path) -> Path:
    """A folder ``node_modules`` with what the lock file in the folder *pinned* lists.

    Raises:
        ServerError: it cannot be made; nothing is left of the attempt.
    """
    files = [pinned / name for name in ("package.json", "package-lock.json")]

    def make(folder: Path) -> None:
        folder.mkdir()
        for file in files:
            shutil.copy(file, folder)
        options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
        _run(program("npm"), "ci", *options, folder=folder)

    return _kept("node", files, make) / "node_modules"


def _kept(what: str, lists: list[Path], make: Callable[[Path], None]) -> Path:
    """The environment made from *lists*: under another name until it is whole."""
    recipe = sha256(b"".join(file.read_bytes() for file in lists)).hexdigest()[:8]
    environment = KEPT / f"{what}-{recipe}"
    KEPT.mkdir(parents=True, exist_ok=True)
    with (KEPT / f"{environment.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not environment.exists():
            unfinished = environment.with_name(environment.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed
            try:
                make(unfinished)
                unfinished.rename(environment)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
    return environment


def _run(*command: str | Path, folder: Path | None = None) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_BUILD_SECONDS,
        check=False,
    )
    if done.returncode:
        raise ServerError(f"{command[0]} failed:\n{done.stdout[-4000:]}")
