"""The longest time in which the daemon's loop did nothing else: a client that asks all the time.

A process of its own asks /healthz over the daemon's socket a thousand times a second, on one
connection that is kept. An answer waits for whatever the loop is at, so the slowest answer is at
least the longest gap between two of its turns; what the client itself waited for the machine is in
it, too.
"""

from __future__ import annotations

import http.client
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from bench.harness.daemon import OverSocket

_ROOT = Path(__file__).resolve().parent.parent.parent
_PAUSE_SECONDS = 0.001
_READY = "ready"


class Pinger:
    """``with Pinger(socket) as pinger``: asks meanwhile; afterwards *longest_ms* is known."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.longest_ms = 0.0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.harness.pinger", self._path],
            cwd=_ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._process.stdout is None or self._process.stdout.readline().strip() != _READY:
            raise ValueError("nobody asks")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.terminate()
        told, _ = self._process.communicate()
        self.longest_ms = float(told)


def main() -> int:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    line = OverSocket(Path(sys.argv[1]))
    _ask(line)
    print(_READY, flush=True)
    longest = 0.0
    while not over.wait(_PAUSE_SECONDS):
        longest = max(longest, _ask(line))
    line.close()
    print(longest * 1e3)
    return 0


def _ask(line: OverSocket) -> float:
    began = time.perf_counter()
    line.request("GET", "/healthz")
    answer = line.getresponse()
    answer.read()
    if answer.status != http.client.OK:
        raise ValueError(f"/healthz: {answer.status}")
    return time.perf_counter() - began


if __name__ == "__main__":
    sys.exit(main())
