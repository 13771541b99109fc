"""A Dovecot and a Postfix of one's own: private folders, free ports, loopback only, no DNS.

Dovecot's log is the witness of every guess that got past the guard. Both need root: they give it
up themselves, each to users of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from pwd import getpwnam
from typing import Protocol

from tests.real.attack import Door, Service, Told, guess
from tests.real.processes import Child, ServerError, answers, eventually, free_port

_WITNESS = "witness"  # an account whose logins only mark a place in the log
_WITNESS_PASSWORD = "witness-opensesame"
# What Dovecot writes for each password that it is asked to check, right or wrong.
_LOOKUP = re.compile(
    r"passwd-file\((?P<login>.*),(?P<address>[0-9a-f.:]+)(?:,<[^>]*>)?\): Performing passdb lookup"
)

_DOVECOT = """\
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/dovecot.log
listen = 127.0.0.1
protocols = imap sieve
ssl = no
disable_plaintext_auth = no
auth_mechanisms = plain login
auth_verbose = yes
auth_debug = yes
mail_location = maildir:{folder}/mail/%u
mail_max_userip_connections = 10000
first_valid_uid = 1
haproxy_trusted_networks = 127.0.0.0/8
passdb {{
  driver = passwd-file
  args = {folder}/accounts
}}
userdb {{
  driver = static
  args = uid=nobody gid=nogroup home={folder}/mail/%u
}}
service imap-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 5000
  inet_listener imap {{
    port = {imap_port}
  }}
  inet_listener imaps {{
    port = 0
  }}
  inet_listener imap_haproxy {{
    port = {haproxy_port}
    haproxy = yes
  }}
}}
service managesieve-login {{
  service_count = 0
  process_min_avail = 1
  client_limit = 5000
  inet_listener sieve {{
    port = {sieve_port}
  }}
  inet_listener sieve_haproxy {{
    port = {sieve_haproxy_port}
    haproxy = yes
  }}
}}
plugin {{
  sieve = file:{folder}/mail/%u/sieve;active={folder}/mail/%u/active.sieve
}}
service auth {{
  client_limit = 10000
  unix_listener {sasl} {{
    mode = 0666
  }}
}}
"""
# Stock Dovecot answers a repeated wrong password later and later: 2, 4, 8, 15 s. Without that it
# still tells failures twice a second only.
_NO_PENALTY = """\
auth_failure_delay = 0
service anvil {
  client_limit = 10000
  unix_listener anvil-auth-penalty {
    mode = 0
  }
}
"""
_STOCK_PENALTY = """\
service anvil {
  client_limit = 10000
}
"""


@dataclass(frozen=True, slots=True)
class Guess:
    """One password that Dovecot was asked to check, over whichever service."""

    login: str
    address: IPv4Address | IPv6Address


class Dovecot:
    """IMAP and ManageSieve, and SASL for a :class:`Postfix`.

    Each service has two ports: with and without a PROXY header.
    """

    settings = _DOVECOT
    """Its configuration, which is no other generation's."""
    lookup = _LOOKUP

    def __init__(
        self,
        folder: Path,
        accounts: Mapping[str, str],
        *,
        penalty: bool = False,
        haproxy_port: int | None = None,
        sieve_haproxy_port: int | None = None,
        more: str = "",
    ) -> None:
        """*more* are settings behind all others."""
        self.folder = folder / "dovecot"
        self.port = free_port()
        self.haproxy_port = haproxy_port or free_port()
        self.sieve_port = free_port()
        self.sieve_haproxy_port = sieve_haproxy_port or free_port()
        self.sasl_socket = self.folder / "run" / "sasl-for-postfix"
        self._log = self.folder / "dovecot.log"
        self._penalty = penalty
        self._more = more
        self._child: Child | None = None
        self._read_from = 0
        self._prepare({**accounts, _WITNESS: _WITNESS_PASSWORD})

    def _prepare(self, accounts: Mapping[str, str]) -> None:
        mail = self.folder / "mail"
        mail.mkdir(parents=True)
        shutil.chown(mail, "nobody", "nogroup")
        (self.folder / "accounts").write_text(
            "".join(f"{login}:{{PLAIN}}{password}\n" for login, password in accounts.items())
        )
        settings = self.settings.format(
            folder=self.folder,
            imap_port=self.port,
            haproxy_port=self.haproxy_port,
            sieve_port=self.sieve_port,
            sieve_haproxy_port=self.sieve_haproxy_port,
            sasl=self.sasl_socket.name,
        )
        settings += (_STOCK_PENALTY if self._penalty else _NO_PENALTY) + self._more
        (self.folder / "dovecot.conf").write_text(settings)
        self._log.touch()

    def command(self, name: str) -> list[str | Path]:
        """How a program of it is run."""
        return [program(name)]

    def start(self) -> None:
        # A socket left from a start before makes its auth process restart for ever.
        shutil.rmtree(self.folder / "run", ignore_errors=True)
        child = Child(
            [*self.command("dovecot"), "-F", "-c", self.folder / "dovecot.conf"],
            output=self.folder / "output",
            folder=self.folder,
        )
        self._child = child
        ports = (self.port, self.haproxy_port, self.sieve_port, self.sieve_haproxy_port)
        child.wait_until(lambda: all(answers(port) for port in ports))

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It takes connections, as the kernel does that for it, and says nothing to them."""
        if self._child is None:
            raise ServerError("Dovecot is not running")
        self._child.signal_group(signal.SIGSTOP)
        try:
            yield
        finally:
            self._child.signal_group(signal.SIGCONT)

    def forget_guesses(self) -> None:
        """Let :meth:`guesses` begin with what comes from now on."""
        if self._child is not None:
            self._mark()
        self._read_from = self._log.stat().st_size

    def guesses(self) -> list[Guess]:
        """Every password it was asked to check, in their order, up to this moment."""
        if self._child is not None:
            self._mark()
        return [guess for guess in self._lookups() if guess.login != _WITNESS]

    def log(self) -> str:
        """What it wrote since its guesses were last forgotten."""
        with self._log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")

    def _lookups(self) -> list[Guess]:
        return [
            Guess(found["login"], ip_address(found["address"]))
            for found in self.lookup.finditer(self.log())
        ]

    def _mark(self) -> None:
        """Log in, and wait for that in the log: then all that came before it is there too."""

        def marks() -> int:
            return sum(lookup.login == _WITNESS for lookup in self._lookups())

        before = marks()
        told = guess(Door(Service.IMAP, self.port), _WITNESS, _WITNESS_PASSWORD)
        if told is not Told.OK:
            raise ServerError(f"Dovecot tells its own witness {told}; it wrote:\n{self.log()}")
        eventually(lambda: marks() > before, "the witness stands in Dovecot's log")


_POSTFIX_MAIN = """\
compatibility_level = 3.6
queue_directory = {folder}/spool
data_directory = {folder}/data
command_directory = /usr/sbin
daemon_directory = {programs}
mail_owner = postfix
setgid_group = postdrop
maillog_file = {folder}/maillog
maillog_file_prefixes = {folder}
inet_interfaces = 127.0.0.1
inet_protocols = all
myhostname = postfix.test
myorigin = postfix.test
mydestination =
mynetworks =
alias_maps =
alias_database =
default_transport = discard
disable_dns_lookups = yes
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_error_sleep_time = 0
service_throttle_time = 1s
smtpd_sasl_auth_enable = yes
smtpd_sasl_type = dovecot
smtpd_sasl_path = {sasl_socket}
smtpd_relay_restrictions = permit_sasl_authenticated, reject
smtpd_recipient_restrictions = permit_sasl_authenticated, reject
"""
_POSTFIX_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
127.0.0.1:{haproxy_port} inet n - n - - smtpd -o smtpd_upstream_proxy_protocol=haproxy
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
rewrite unix - - n - - trivial-rewrite
proxymap unix - - n - - proxymap
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
error unix - - n - - error
retry unix - - n - - error
discard unix - - n - - discard
anvil unix - - n - 1 anvil
postlog unix-dgram n - n - 1 postlogd
"""


class Postfix:
    """Submission on two ports (with and without a PROXY header); what it takes goes nowhere."""

    def __init__(
        self,
        folder: Path,
        sasl_socket: Path,
        *,
        haproxy_port: int | None = None,
        more: str = "",
        more_services: str = "",
    ) -> None:
        """*more* and *more_services* are lines at the end of main.cf and master.cf."""
        self.folder = folder / "postfix"
        self.port = free_port()
        self.haproxy_port = haproxy_port or free_port()
        self._programs = self.programs()
        self._child: Child | None = None
        self._read_from = 0
        for name in ("etc", "spool", "data"):
            (self.folder / name).mkdir(parents=True)
        os.chown(self.folder / "data", self.user(), -1)
        (self.folder / "etc" / "main.cf").write_text(
            _POSTFIX_MAIN.format(
                folder=self.folder, programs=self._programs, sasl_socket=sasl_socket
            )
            + more
        )
        (self.folder / "etc" / "master.cf").write_text(
            _POSTFIX_MASTER.format(port=self.port, haproxy_port=self.haproxy_port) + more_services
        )
        self._log = self.folder / "maillog"
        self._log.touch()

    def command(self, name: str) -> list[str | Path]:
        """How a program of it is run."""
        return [program(name)]

    def programs(self) -> Path:
        """Where its daemons are."""
        return _postfix_programs()

    def user(self) -> int:
        """The number of the user that it gives root up for."""
        return getpwnam("postfix").pw_uid

    def start(self) -> None:
        """Its SASL socket has to be there already."""
        etc = self.folder / "etc"
        # Makes the folders of the spool, each with the owner that it needs.
        subprocess.run(
            [*self.command("postfix"), "-c", etc, "check"], check=True, stderr=subprocess.DEVNULL
        )
        child = Child(
            [*self.command(str(self._programs / "master")), "-s", "-c", etc],
            output=self.folder / "output",
            folder=self.folder,
        )
        self._child = child
        child.wait_until(lambda: answers(self.port) and answers(self.haproxy_port))

    def stop(self) -> None:
        if self._child is not None:
            # Asked politely it waits a second for nobody.
            self._child.kill()
            self._child = None

    def forget_log(self) -> None:
        """Let :meth:`log` begin with what comes from now on."""
        self._read_from = self._log.stat().st_size

    def log(self) -> str:
        with self._log.open("rb") as log:
            log.seek(self._read_from)
            return log.read().decode(errors="replace")


class Server(Protocol):
    """What can be started and stopped."""

    def start(self) -> None:
        """Return once it answers."""

    def stop(self) -> None:
        """Leave nothing behind, however far the start came."""


@contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start *servers* in this order; afterwards none of them runs, whatever happened."""
    with ExitStack() as stack:
        for server in servers:
            stack.callback(server.stop)
            server.start()
        yield


def _postfix_programs() -> Path:
    for folder in (Path("/usr/lib/postfix/sbin"), Path("/usr/libexec/postfix")):
        if (folder / "master").exists():
            return folder
    raise ServerError("Postfix is not installed; run tests/real/install.sh as root")


def program(name: str) -> str:
    """Where *name* is; the folder of system programs is on no user's path."""
    found = shutil.which(name, path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
    if found is None:
        raise ServerError(f"{name} is not installed; run tests/real/install.sh as root")
    return found
