"""Runs a throw-away Dovecot and Postfix for examples/demo-servers.toml, until Ctrl-C.

They listen on loopback only, take their clients' addresses from PROXY headers, and know two
accounts whose passwords are made up at each start. What is submitted goes nowhere. Needs root,
because both servers start with it; on Debian they are installed if they are missing.
"""

from __future__ import annotations

import secrets
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.real.processes import ServerError, answers, private_folder  # noqa: E402 -- needs ROOT
from tests.real.servers import Dovecot, Postfix, running  # noqa: E402 -- needs ROOT

IMAP_PORT = 10143
SUBMISSION_PORT = 10587
SIEVE_PORT = 24190


def main() -> int:
    installed = subprocess.run(  # noqa: S603 -- a script of this repository
        ["/bin/sh", ROOT / "tests" / "real" / "install.sh", "demo"], stdout=sys.stderr, check=False
    )
    if installed.returncode:
        return 1
    for port in (IMAP_PORT, SUBMISSION_PORT, SIEVE_PORT):
        if answers(port):
            print(f"somebody listens on 127.0.0.1:{port} already; stop that first", file=sys.stderr)
            return 1
    # SIGTERM and a closed terminal end it as Ctrl-C does: nothing stays behind.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        serve({login: secrets.token_urlsafe(9) for login in ("alice", "bob")})
    except KeyboardInterrupt:
        print("stopped, nothing left behind")
    except ServerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def serve(accounts: dict[str, str]) -> None:
    """Run both until KeyboardInterrupt."""
    with private_folder() as folder:
        dovecot = Dovecot(folder, accounts, haproxy_port=IMAP_PORT, sieve_haproxy_port=SIEVE_PORT)
        postfix = Postfix(folder, dovecot.sasl_socket, haproxy_port=SUBMISSION_PORT)
        with running(dovecot, postfix):
            print(f"Dovecot (IMAP) on 127.0.0.1:{IMAP_PORT}")
            print(f"Dovecot (ManageSieve) on 127.0.0.1:{SIEVE_PORT}")
            print(f"Postfix (submission) on 127.0.0.1:{SUBMISSION_PORT}")
            for login, password in accounts.items():
                print(f"account {login}, password {password}")
            print("doors before them: make run CONFIG=examples/demo-servers.toml")
            print("Ctrl-C stops both and deletes all they hold", flush=True)
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())
