"""The programs by which people keep their scripts: sieve-connect, and one made of sievelib."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """\
require ["fileinto", "imap4flags"];
# A quote ", a backslash \\\\, a literal {3} and a letter beyond ASCII: é
if header :contains "Subject" "invoice" {
    addflag "\\\\Flagged";
    fileinto "Invoices";
}
"""
_SECONDS = 60


@dataclass(frozen=True, slots=True)
class SieveDoor:
    """Where the programs are to go; *authority* is the file of those whom they trust, for TLS."""

    port: int
    tls: str = "none"
    authority: Path | None = None


def sievelib(door: SieveDoor, login: str, password: str, script: str = SCRIPT) -> str:
    """Log in and work on a script; "in", or what came instead."""
    trust = {} if door.authority is None else {"SSL_CERT_FILE": str(door.authority)}
    done = subprocess.run(
        [
            sys.executable,
            Path(__file__).with_name("sievelib_program.py"),
            *("localhost", str(door.port), door.tls, login),
        ],
        input=f"{password}\n{script}",
        env={**os.environ, **trust},
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def sieve_connect(door: SieveDoor, login: str, password: str, *wish: str) -> str:
    """Let sieve-connect do *wish*; all that it says, its errors behind the rest."""
    tls = ["--clearchan"] if door.authority is None else ["--tlscafile", str(door.authority)]
    done = subprocess.run(
        [
            *["/usr/bin/sieve-connect", "--server", "localhost", "--port", str(door.port), "--4"],
            *["--nosrv", "--user", login, "--passwordfd", "0", *tls, *wish],
        ],
        input=f"{password}\n",
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        check=False,
    )
    return done.stdout + done.stderr
