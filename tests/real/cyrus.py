"""A Cyrus of one's own in the root that is made for it: IMAP, ManageSieve and JMAP on loopback.

It takes no PROXY header and no other word about its clients: to it they all come from the door.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from ipaddress import ip_address
from itertools import count

from tests.real.attack import Door, Service, guess
from tests.real.cyrus_root import Root
from tests.real.processes import Child, answers, free_port
from tests.real.servers import Guess, program

_NUMBERS = count(1)
_PROGRAMS = "/usr/lib/cyrus/bin"
_LOGIN = re.compile(
    r": (?:login: \S* ?\[(?P<address>[0-9a-f.:]+)\] (?P<login>\S+)"
    r"|badlogin: \S* ?\[(?P<from>[0-9a-f.:]+)\] \S+ (?:\((?P<wrong>[^)]*)\))?)"
)

_SETTINGS = {
    "configdirectory": "{home}/state",
    "defaultpartition": "default",
    "partition-default": "{home}/mail",
    "sievedir": "{home}/sieve",
    "proc_path": "{home}/run/proc",
    "mboxname_lockpath": "{home}/run/lock",
    "idlesocket": "{home}/run/idle",
    "lmtpsocket": "{home}/run/lmtp",
    "notifysocket": "{home}/run/notify",
    "servername": "localhost",
    "syslog_prefix": "{name}",
    "altnamespace": "yes",
    "unixhierarchysep": "yes",
    "autocreate_quota": "0",
    "allowplaintext": "yes",
    # Stock Cyrus answers a wrong password 3 s later.
    "failedloginpause": "0",
    "sasl_mech_list": "PLAIN LOGIN",
    "sasl_pwcheck_method": "auxprop",
    "sasl_auxprop_plugin": "sasldb",
    "sasl_sasldb_path": "{home}/accounts",
    "httpmodules": "jmap",
    "conversations": "yes",
    "conversations_db": "twoskip",
    "jmap_max_size_upload": "102400",  # KiB
}
_SERVICES = """\
START {{
  recover cmd="{programs}/ctl_cyrusdb -C {home}/imapd.conf -r"
  idled cmd="{programs}/idled -C {home}/imapd.conf"
}}
SERVICES {{
  imap cmd="{programs}/imapd -C {home}/imapd.conf" listen="127.0.0.1:{imap}" prefork=1
  sieve cmd="{programs}/timsieved -C {home}/imapd.conf" listen="127.0.0.1:{sieve}" prefork=1
  http cmd="{programs}/httpd -C {home}/imapd.conf" listen="127.0.0.1:{http}" prefork=1
}}
EVENTS {{
}}
"""


class Cyrus:
    """IMAP on :attr:`port`, ManageSieve on :attr:`sieve_port`, JMAP on :attr:`http_port`."""

    def __init__(self, root: Root, accounts: Mapping[str, str], **settings: str) -> None:
        """*settings* go before those that it has otherwise."""
        self.port = free_port()
        self.sieve_port = free_port()
        self.http_port = free_port()
        self._name = f"cyrus-{next(_NUMBERS)}"
        self._home = f"/srv/{self._name}"  # as it is called within the root
        self.root = root
        self._folder = root.folder / "srv" / self._name
        self._accounts = accounts
        self._settings = {**_SETTINGS, **settings}
        self._child: Child | None = None
        self._read_from = 0

    def start(self) -> None:
        """Start it with accounts, mailboxes and scripts that are new."""
        shutil.rmtree(self._folder, ignore_errors=True)
        for name in ("state/db", "state/socket", "state/log", "mail", "sieve", "run"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "imapd.conf").write_text(
            "".join(
                f"{name}: {value.format(home=self._home, name=self._name)}\n"
                for name, value in self._settings.items()
            )
        )
        (self._folder / "cyrus.conf").write_text(
            _SERVICES.format(
                home=self._home,
                programs=_PROGRAMS,
                imap=self.port,
                sieve=self.sieve_port,
                http=self.http_port,
            )
        )
        for login, password in self._accounts.items():
            accounts = ["-f", f"{self._home}/accounts", "-u", "localhost"]
            self._inside("saslpasswd2", "-p", "-c", *accounts, login, given=password)
        self._inside("chown", "-R", "cyrus:mail", self._home)
        child = Child(
            [
                program("chroot"),
                self.root.folder,
                f"{_PROGRAMS}/master",
                "-D",
                *["-C", f"{self._home}/imapd.conf", "-M", f"{self._home}/cyrus.conf"],
                *["-p", f"{self._home}/master.pid"],
            ],
            output=self._folder / "output",
            folder=self.root.folder,
        )
        self._child = child
        child.wait_until(lambda: answers(self.port) and answers(self.sieve_port))
        child.wait_until(lambda: answers(self.http_port))
        # It makes a mailbox with the first login over IMAP; timsieved lets nobody in without one.
        for login, password in self._accounts.items():
            guess(Door(Service.IMAP, self.port), login, password)

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child = None
        shutil.rmtree(self._folder, ignore_errors=True)

    def forget_log(self) -> None:
        """Let :meth:`log` and :meth:`guesses` begin with what comes from now on."""
        self._read_from = len(self._all())

    def log(self) -> str:
        return self._all()[self._read_from :]

    def guesses(self) -> list[Guess]:
        """Every login it was asked for, in their order; timsieved names none that was wrong."""
        return [
            Guess(
                found["login"] or found["wrong"] or "",
                ip_address(found["address"] or found["from"]),
            )
            for found in _LOGIN.finditer(self.log())
        ]

    def _all(self) -> str:
        ours = f" {self._name}/"
        return "".join(f"{entry}\n" for entry in self.root.syslog.entries() if ours in entry)

    def _inside(self, *command: str, given: str = "") -> None:
        subprocess.run(
            [program("chroot"), self.root.folder, *command], input=given, text=True, check=True
        )
