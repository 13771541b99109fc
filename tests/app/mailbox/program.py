"""A program that is supervised as the built-in mail server is; run as a script, with what to do.

It tells of itself as a log line: its number, its environment, its descriptors, and each line of
settings that it is told.
"""

from __future__ import annotations

import json
import os
import sys


def say(level: str, message: str) -> None:
    line = {"level": level, "logger": "mailbox.test", "message": message}
    print(json.dumps(line), file=sys.stderr, flush=True)  # noqa: T201 -- its log


def descriptors() -> list[int]:
    """Those that are open, but the one of this look."""
    found = []
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 -- what a folder has, as numbers
        try:
            os.fstat(int(name))
        except OSError:
            continue
        found.append(int(name))
    return sorted(found)


def main() -> None:
    what = sys.argv[1]
    if what == "dies":
        say("error", "accounts.db is of a newer version")
        sys.exit(78)
    say("info", json.dumps({"pid": os.getpid(), "told": json.loads(sys.stdin.readline())}))
    say("debug", json.dumps({"environment": dict(os.environ), "descriptors": descriptors()}))
    sys.stdout.write('{"ready": true}\n')
    sys.stdout.flush()
    for line in sys.stdin:
        say("warning", json.dumps({"told": json.loads(line)}))


if __name__ == "__main__":
    main()
