"""One mail server for all mail programs, and an account of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from mailbox_testing.alone import add, alone
from mailbox_testing.program import PASSWORD

from mailward.app.selfsigned import CERTIFICATE_NAME
from tests.real.embedded import EmbeddedWard
from tests.real.processes import free_port, private_folder
from tests.real.programs.environments import HERE, node_modules, python_of
from tests.real.programs.server import MailServer

collect_ignore = ["aiosmtplib_program.py", "jmapc_program.py"]  # for other interpreters
_IMPLICIT = """
[server.listener.{protocol}-tls]
protocol = "{protocol}"
bind = ["127.0.0.1:{port}"]
backend = "embedded"
tls.implicit = true
"""


class ProgramsWard(EmbeddedWard):
    """A daemon that has doors with TLS from the first octet, too."""

    def __init__(self, folder: Path) -> None:
        self.tls_ports = {name: free_port() for name in ("imap", "submission", "jmap")}
        self._accounts = 0
        super().__init__(folder)

    def configure(self, security: str) -> None:
        super().configure(security)
        tables = [
            _IMPLICIT.format(protocol=name, port=port) for name, port in self.tls_ports.items()
        ]
        self.configuration.write_text(self.configuration.read_text() + "".join(tables))

    def new_account(self, *, is_implicit: bool) -> MailServer:
        self._accounts += 1
        name = f"reader{self._accounts}"
        password = f"{name}-opensesame"
        self.add(name, password)
        return MailServer(
            name,
            password,
            self.imap.port,
            self.submission.port,
            self.managesieve.port,
            authority=self.data / CERTIFICATE_NAME,
            imaps=self.tls_ports["imap"] if is_implicit else 0,
            submissions=self.tls_ports["submission"] if is_implicit else 0,
            jmap=self.tls_ports["jmap"],
        )


class Alone:
    """The built-in mail server as a program of its own: no daemon before it, no TLS."""

    def __init__(self, data: Path, ports: Mapping[str, int]) -> None:
        self._data = data
        self._ports = ports
        self._accounts = 0

    def new_account(self) -> MailServer:
        self._accounts += 1
        name = f"reader{self._accounts}"
        add(self._data, name)
        ports = self._ports
        return MailServer(name, PASSWORD, ports["imap"], ports["submission"], ports["managesieve"])


@pytest.fixture(scope="session")
def ward() -> Iterator[ProgramsWard]:
    with private_folder() as folder:
        ward = ProgramsWard(folder / "ward")
        try:
            ward.start(knows_backends=False)
            yield ward
        finally:
            ward.finish()


@pytest.fixture(scope="session")
def by_itself() -> Iterator[Alone]:
    with private_folder() as folder, alone(folder / "mail") as ports:
        yield Alone(folder / "mail", ports)


@pytest.fixture
def server(ward: ProgramsWard) -> MailServer:
    """The daemon, with an account that nothing else uses; TLS begins with STARTTLS."""
    return ward.new_account(is_implicit=False)


@pytest.fixture(params=["STARTTLS", "TLS", "alone"])
def any_server(request: pytest.FixtureRequest) -> MailServer:
    """The daemon by each kind of TLS, and the mail server without it."""
    if request.param == "alone":
        by_itself: Alone = request.getfixturevalue("by_itself")
        return by_itself.new_account()
    ward: ProgramsWard = request.getfixturevalue("ward")
    return ward.new_account(is_implicit=request.param == "TLS")


@pytest.fixture(scope="session")
def jmapc() -> Path:
    """The interpreter that has jmapc."""
    return python_of(HERE / "jmapc.txt")


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder that imapflow and nodemailer are in."""
    return node_modules(HERE / "node")
