"""Under what circumstances figures came about: when, on what, of which versions."""

from __future__ import annotations

import os
import platform
import re
import ssl
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from mailward import VERSION
from mailward.app.clock import SteadyClock

_ROOT = Path(__file__).resolve().parent.parent.parent
_PEERS = {
    "fail2ban": ("fail2ban-server", "--version"),
    "haproxy": ("haproxy", "-v"),
    "nginx": ("nginx", "-v"),
    "dovecot": ("dovecot", "--version"),
    "postfix": ("postconf", "-h", "mail_version"),
    "gcc": ("gcc", "-dumpfullversion"),
}
_SECONDS = 20


def circumstances() -> dict[str, object]:
    """Date, commit, versions and machine."""
    return {
        "date": datetime.fromtimestamp(SteadyClock()(), UTC).isoformat(timespec="seconds"),
        "commit": _said("git", "-C", str(_ROOT), "describe", "--always", "--dirty"),
        "versions": {
            "mailward": VERSION,
            "python": platform.python_version(),
            "openssl": ssl.OPENSSL_VERSION.split()[1],
            **{name: _version(_said(*command)) for name, command in _PEERS.items()},
        },
        "machine": {
            "kernel": platform.release(),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "memory_mb": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
            "load": [round(load, 2) for load in os.getloadavg()],
        },
    }


def _said(*command: str) -> str:
    """What a program says of itself; nothing if it is not there."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin"])
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
            env={**os.environ, "PATH": path},
        )
    except OSError:
        return ""
    return (done.stdout + done.stderr).strip()


def _version(said: str) -> str:
    found = re.search(r"\d+\.\d[\w.+~-]*", said)
    return found[0] if found else "not installed"


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.processor()
