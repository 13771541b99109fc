"""A network of one's own: every port is free there, and nobody else listens."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.real.processes import Child, eventually, private_folder


@contextmanager
def network_of_ones_own() -> Iterator[list[str]]:
    """A network that has loopback alone; given are the words that run a command within it."""
    with private_folder() as folder:
        keeper = Child(
            ["unshare", "--net", "sleep", "infinity"], output=folder / "output", folder=folder
        )
        try:
            theirs, ours = Path(f"/proc/{keeper.pid}/ns/net"), Path("/proc/self/ns/net")
            eventually(lambda: theirs.readlink() != ours.readlink(), "there is another network")
            within = ["nsenter", f"--net={theirs}"]
            subprocess.run([*within, "ip", "link", "set", "lo", "up"], check=True)
            yield within
        finally:
            keeper.kill()
