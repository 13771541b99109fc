"""The programs in C, compiled when they are needed, into a folder that goes with the run."""

from __future__ import annotations

import subprocess
from pathlib import Path

SOURCES = Path(__file__).resolve().parent.parent / "c"
_SECONDS = 60


def compiled(name: str, folder: Path) -> Path:
    """The program of ``bench/c/NAME.c``, made in *folder*."""
    program = folder / name
    subprocess.run(
        ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, SOURCES / f"{name}.c"],
        check=True,
        timeout=_SECONDS,
    )
    return program
