"""One mail server for all mail programs, and an account of its own for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mailward.app.selfsigned import CERTIFICATE_NAME
from tests.real.embedded import EmbeddedWard
from tests.real.processes import free_port, private_folder
from tests.real.programs.environments import HERE, node_modules, python_of
from tests.real.programs.server import MailServer

collect_ignore = ["jmapc_program.py"]  # for another interpreter
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

    def new_account(self) -> MailServer:
        self._accounts += 1
        name = f"reader{self._accounts}"
        password = f"{name}-opensesame"
        self.add(name, password)
        return MailServer(
            imap=self.imap.port,
            submission=self.submission.port,
            authority=self.data / CERTIFICATE_NAME,
            name=name,
            password=password,
            imaps=self.tls_ports["imap"],
            submissions=self.tls_ports["submission"],
            managesieve=self.managesieve.port,
            jmap=self.tls_ports["jmap"],
        )


@pytest.fixture(scope="session")
def ward() -> Iterator[ProgramsWard]:
    with private_folder() as folder:
        ward = ProgramsWard(folder / "ward")
        try:
            ward.start(knows_backends=False)
            yield ward
        finally:
            ward.finish()


@pytest.fixture
def server(ward: ProgramsWard) -> MailServer:
    """The daemon, with an account that nothing else uses."""
    return ward.new_account()


@pytest.fixture(scope="session")
def jmapc() -> Path:
    """The interpreter that has jmapc."""
    return python_of(HERE / "jmapc.txt")


@pytest.fixture(scope="session")
def npm() -> Path:
    """The folder that imapflow and nodemailer are in."""
    return node_modules(HERE / "node")
