"""mailward as a user runs it: a configuration file, a child process, the command line."""

from __future__ import annotations

import http.client
import json
import os
import signal
import smtplib
import socket
import subprocess
import sys
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.real.attack import Door, ImapFrom, Service
from tests.real.processes import Child, eventually, free_port

PROGRAM = Path(sys.executable).with_name("mailward")
PASSWORD_MARK = "opensesame"
"""Stands in every password that a test uses, so one look finds any that got out."""

_STOP_SECONDS = 10.0  # the promise of `mailward serve`

_CONFIGURATION = """\
[server]
hostname = "door.test"

[server.security]
{security}

[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{imap}", "[::1]:{imap}"]
backend = "dovecot"

[server.listener.submission]
protocol = "submission"
bind = ["127.0.0.1:{submission}", "[::1]:{submission}"]
backend = "postfix"

[backend.dovecot]
address = "127.0.0.1:{dovecot}"
client-address = "proxy-v2"
{backend}

[backend.postfix]
address = "127.0.0.1:{postfix}"
client-address = "proxy-v2"
{backend}

[log]
level = "debug"
"""
_MANAGESIEVE = """
[server.listener.managesieve]
protocol = "managesieve"
bind = ["127.0.0.1:{managesieve}", "[::1]:{managesieve}"]
backend = "pigeonhole"

[backend.pigeonhole]
address = "127.0.0.1:{pigeonhole}"
client-address = "proxy-v2"
{backend}
"""


class Mailward:
    """One daemon with a door for IMAP and one for submission, and all that it ever said.

    Where there is a *pigeonhole* there is a door for ManageSieve, too.
    """

    def __init__(
        self,
        folder: Path,
        *,
        security: str,
        dovecot: int,
        postfix: int,
        pigeonhole: int | None = None,
        backend: str = "",
        more: str = "",
        within: Sequence[str] = (),
    ) -> None:
        """Write its configuration.

        *security* and *backend* are lines of those tables, *more* are tables behind all others.
        *within* goes before the command that starts it.
        """
        self._within = within
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.data = folder / "data"
        self.data.mkdir(exist_ok=True)
        self.configuration = folder / "config.toml"
        self._log = folder / "log"
        self._log.touch()
        self._child: Child | None = None
        self._backends = {Service.IMAP: dovecot, Service.SUBMISSION: postfix}
        if pigeonhole is not None:
            self._backends[Service.MANAGESIEVE] = pigeonhole
        self._ports = {service: free_port() for service in Service}
        self._backend = backend
        self._more = more
        self.configure(security)

    @property
    def imap(self) -> Door:
        return Door(Service.IMAP, self._ports[Service.IMAP])

    @property
    def submission(self) -> Door:
        return Door(Service.SUBMISSION, self._ports[Service.SUBMISSION])

    @property
    def managesieve(self) -> Door:
        return Door(Service.MANAGESIEVE, self._ports[Service.MANAGESIEVE])

    @property
    def doors(self) -> tuple[Door, ...]:
        return tuple(Door(service, self._ports[service]) for service in self._backends)

    @property
    def socket(self) -> Path:
        return self.data / "mailward.sock"

    @property
    def database(self) -> Path:
        return self.data / "mailward.db"

    def configure(self, security: str) -> None:
        """Write the configuration anew; a running daemon knows nothing of it yet."""
        text = _CONFIGURATION.format(
            security=security,
            backend=self._backend,
            imap=self._ports[Service.IMAP],
            submission=self._ports[Service.SUBMISSION],
            dovecot=self._backends[Service.IMAP],
            postfix=self._backends[Service.SUBMISSION],
        )
        if Service.MANAGESIEVE in self._backends:
            text += _MANAGESIEVE.format(
                backend=self._backend,
                managesieve=self._ports[Service.MANAGESIEVE],
                pigeonhole=self._backends[Service.MANAGESIEVE],
            )
        self.configuration.write_text(text + self._more)

    # -- the process ------------------------------------------------------------------------

    def start(self, *, knows_backends: bool = True) -> None:
        """Start it, and wait until it is up and knows what the backends behind it can do."""
        child = Child(
            [*self._within, PROGRAM, "serve", "--config", self.configuration, "--data", self.data],
            output=self._log,
            folder=self.folder,
        )
        self._child = child
        child.wait_until(self._is_up)
        if knows_backends:
            eventually(self._knows_its_backends, "the doors show what the backends can do")

    def serve_in_vain(self) -> subprocess.CompletedProcess[str]:
        """Run ``serve`` where it is to end by itself at once, and say how it ended."""
        return self._run("serve", "--config", str(self.configuration))

    def stop(self) -> None:
        """End it as an init system does: it ends in time, cleanly, and leaves nobody behind."""
        status = self._running().terminate(within_seconds=_STOP_SECONDS)
        self._child = None
        assert status == 0, self.log()[-4000:]
        assert not self.socket.exists()

    def crash(self) -> None:
        """kill -9."""
        child, self._child = self._running(), None
        child.kill()

    def finish(self) -> None:
        """What every scenario ends with: a clean stop, and nothing said that must not be."""
        try:
            if self._child is not None:
                self.stop()
            self.kept_every_secret()
            assert "Traceback" not in self.log(), self.log()[-4000:]
        finally:
            if self._child is not None:
                self._child.kill()

    def hang_up(self) -> None:
        self._running().signal(signal.SIGHUP)

    @property
    def pid(self) -> int:
        return self._running().pid

    def _running(self) -> Child:
        assert self._child is not None, "it was not started"
        assert self._child.exit_status() is None, f"it has ended:\n{self.log()[-4000:]}"
        return self._child

    def _is_up(self) -> bool:
        try:
            status, _ = self.ask("GET", "/healthz")
        except OSError:
            return False
        return status == http.client.OK

    def _knows_its_backends(self) -> bool:
        with ImapFrom(self.imap) as client:
            imap = "IDLE" in client.capabilities
        with smtplib.SMTP(self.submission.host, self.submission.port, "ready.test", 10) as line:
            line.ehlo()
            if not (imap and line.has_extn("size")):
                return False
        if not self._more and Service.MANAGESIEVE not in self._backends:
            return True
        return self.is_well()

    def is_well(self) -> bool:
        """Whether no door has anything to say against what is behind it."""
        _, status = self.ask("GET", "/api/status")
        return all(door["state"] in {"ok", "open"} for door in json.loads(status)["doors"])

    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))

    def memory_octets(self) -> int:
        """What of its memory is resident."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) * 1024

    # -- the command line -------------------------------------------------------------------

    def cli(self, *arguments: str, status: int = 0, given: str = "") -> str:
        """What a command prints. It must end with *status*."""
        done = self._run(*arguments, given=given)
        assert done.returncode == status, f"{arguments}: {done.returncode}\n{done.stderr}"
        return done.stdout + done.stderr

    def told(self, *arguments: str) -> Any:
        """What a command says with ``--json``."""
        done = self._run(*arguments, "--json")
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return json.loads(done.stdout)

    def bans(self) -> dict[str, Mapping[str, Any]]:
        """Every ban in force, by the name of its subject."""
        return {ban["subject"]: ban for ban in self.told("bans")}

    def _run(self, *arguments: str, given: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [PROGRAM, *arguments],
            env={
                **os.environ,
                "MAILWARD_CONFIG": str(self.configuration),
                "MAILWARD_DATA": str(self.data),
            },
            input=given,
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        has_no_secret(f"what {arguments} printed", (done.stdout + done.stderr).encode())
        return done

    # -- the API ----------------------------------------------------------------------------

    def ask(
        self, method: str, path: str, fields: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One request over the daemon's own socket."""
        line = _UnixConnection(self.socket)
        body = None if fields is None else json.dumps(fields)
        try:
            line.request(method, path, body, {"Content-Type": "application/json"})
            answer = line.getresponse()
            said = answer.read()
        finally:
            line.close()
        has_no_secret(f"the answer to {method} {path}", said)
        return answer.status, said

    # -- what it said -----------------------------------------------------------------------

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def kept_every_secret(self) -> None:
        """No password is in its log or in any file that it keeps; its answers were looked at."""
        has_no_secret("the log", self._log.read_bytes())
        for file in self.data.iterdir():
            if file.is_file():
                has_no_secret(str(file), file.read_bytes())


def has_no_secret(place: str, octets: bytes) -> None:
    for form in _forms(PASSWORD_MARK.encode()):
        assert form not in octets, f"a password stands in {place}"


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=10)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def _forms(secret: bytes) -> list[bytes]:
    """*secret* as it is, and as base64 shows it in whichever place of a longer text."""
    encoded = [b64encode(b"\0" * shift + secret) for shift in range(3)]
    # The first and last characters hold bits of the neighbours.
    return [secret, *(form[(4 * shift + 2) // 3 : -4] for shift, form in enumerate(encoded))]
