"""What the pages say of other programs' configuration, looked at by those programs themselves."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.docs.markdown import DOCS, blocks
from tests.real.attack import Told, guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.daemon import PROGRAM, Mailward
from tests.real.networks import network_of_ones_own
from tests.real.processes import Child, eventually, free_port
from tests.real.servers import Dovecot, Postfix, program, running
from tests.real.trixie import NewPostfix
from tests.real.trixie_root import shared_folder, trixie_root

_DOVECOT_FILE = "/etc/dovecot/conf.d/99-mailward.conf"
# All of it, but the certificate of 2.3, which is made where another package is there.
_STOCK = {
    "2.3": """\
!include /usr/share/dovecot/protocols.d/*.protocol
!include /etc/dovecot/conf.d/10-auth.conf
!include /etc/dovecot/conf.d/10-master.conf
!include /etc/dovecot/conf.d/20-*.conf
ssl = no
""",
    "2.4": """\
dovecot_config_version = 2.4.0
!include /etc/dovecot/dovecot.conf
""",
}
_PAST_THE_DOOR = """
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:1143"]
backend = "dovecot"

[server.listener.sieve]
protocol = "managesieve"
bind = ["127.0.0.1:14190"]
backend = "pigeonhole"

[backend.dovecot]
address = "127.0.0.1:143"

[backend.pigeonhole]
address = "127.0.0.1:4190"
"""
NGINX_MODULES = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"


def documented(page: str, title: str) -> str:
    """What *page* says of the file *title*."""
    (text,) = [b.text for b in blocks((DOCS / page).read_text()) if b.title == title]
    return text


def looked_at(*command: str | Path) -> str:
    """All that *command* says of the configuration; it has no objection."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


@dataclass(frozen=True, slots=True)
class Stock:
    """A Dovecot as Debian packages it; *command* runs its programs, *folder* is open to them."""

    generation: str
    command: tuple[str | Path, ...]
    folder: Path

    def write(self, page: str) -> Path:
        """A file with what Debian has, and *page* behind it."""
        file = self.folder / "dovecot.conf"
        own = f"base_dir = {self.folder}/run\nlog_path = {self.folder}/log\n"
        file.write_text(_STOCK[self.generation] + own + page)
        return file


@pytest.fixture(params=["2.3", "2.4"])
def stock(request: pytest.FixtureRequest, folder: Path) -> Iterator[Stock]:
    if request.param == "2.3":
        yield Stock(request.param, (), folder)
        return
    root = trixie_root()
    with shared_folder(root) as shared:
        yield Stock(request.param, (program("chroot"), root), shared)


@dataclass(frozen=True, slots=True)
class Apart:
    """A mailward, not started yet, in a network of its own; *within* runs a command there."""

    ward: Mailward
    within: Sequence[str]


@pytest.fixture
def apart(folder: Path) -> Iterator[Apart]:
    with network_of_ones_own() as within:
        ward = Mailward(folder / "ward", security="", dovecot=143, postfix=25, within=within)
        try:
            yield Apart(ward, within)
        finally:
            ward.finish()


def test_ports_of_stock_dovecot_that_lead_past_mailward_are_warned_about(
    stock: Stock, apart: Apart
) -> None:
    ward = apart.ward
    ward.configuration.write_text(_PAST_THE_DOOR)
    with running(InForeground(stock, "", apart.within)):
        ward.start(knows_backends=False)
        eventually(ward.is_well, "the doors before stock Dovecot are well")
        warnings = " ".join(ward.told("status")["warnings"])
        open_ports = {143, 4190} if stock.generation == "2.3" else {143, 587, 993, 2000, 4190}
        assert all(f" 0.0.0.0:{port}," in warnings for port in open_ports), warnings
        assert "past mailward" in checked(apart)


def test_dovecot_understands_its_page_and_leaves_no_way_past_mailward(
    stock: Stock, apart: Apart, folder: Path
) -> None:
    page = documented("dovecot.md", f"{_DOVECOT_FILE} (Dovecot {stock.generation})")
    told = looked_at(*stock.command, "doveconf", "-n", "-c", stock.write(page))
    assert "haproxy_trusted_networks = 127.0.0.1/32" in told
    assert told.count("haproxy = yes") == 2
    assert "Warning" not in told
    make_certificate(folder, datetime.fromtimestamp(SteadyClock()(), UTC))
    ours = [b.text for b in blocks((DOCS / "dovecot.md").read_text()) if b.language == "toml"]
    text = "\n".join(ours).replace("/etc/mailward/fullchain.pem", str(folder / CERTIFICATE_NAME))
    text = text.replace("/etc/mailward/privkey.pem", str(folder / KEY_NAME))
    ward = apart.ward
    ward.configuration.write_text(text)
    with running(InForeground(stock, page, apart.within)):
        ward.start(knows_backends=False)
        eventually(ward.is_well, "the doors of the page are well")
        assert "past mailward" not in " ".join(ward.told("status")["warnings"])
        assert "past mailward" not in checked(apart)


def checked(apart: Apart) -> str:
    """What ``serve --check`` says where the ports are that it looks at."""
    places = ("--config", apart.ward.configuration, "--data", apart.ward.data)
    return looked_at(*apart.within, PROGRAM, "serve", "--check", *places)


class InForeground:
    """A :class:`Stock` Dovecot with *page* behind its configuration, started *within* a network."""

    def __init__(self, stock: Stock, page: str, within: Sequence[str]) -> None:
        self._command = [*within, *stock.command, program("dovecot"), "-F", "-c", stock.write(page)]
        self._folder = stock.folder
        self._child: Child | None = None

    def start(self) -> None:
        log = self._folder / "log"
        log.write_text("")
        child = Child(self._command, output=self._folder / "output", folder=self._folder)
        self._child = child
        child.wait_until(lambda: "starting up for" in log.read_text())

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()


@pytest.mark.parametrize("generation", ["3.7", "3.10"])
def test_postfix_understands_its_page(generation: str, folder: Path) -> None:
    services = documented("postfix.md", "/etc/postfix/master.cf")
    with ExitStack() as stack:
        if generation == "3.10":
            root = trixie_root()
            shared = stack.enter_context(shared_folder(root))
            postfix: Postfix = NewPostfix(root, shared, shared / "sasl", more_services=services)
        else:
            postfix = Postfix(folder, folder / "sasl", more_services=services)
        etc = postfix.folder / "etc"
        told = looked_at(*postfix.command("postconf"), "-c", etc, "-P")
        for name, value in (("10587", "yes"), ("10025", "no")):
            assert f"127.0.0.1:{name}/inet/smtpd_sasl_auth_enable = {value}" in told
            assert f"127.0.0.1:{name}/inet/smtpd_upstream_proxy_protocol = haproxy" in told
        said = looked_at(*postfix.command("postconf"), "-c", etc, "-n").splitlines()
        # What the tests' own main.cf has is none of the page's.
        assert not [x for x in said if "warning" in x and "disable_dns_lookups" not in x]


@pytest.mark.parametrize("is_as_documented", [True, False])
def test_postfix_of_the_page_takes_logins_though_its_main_cf_wants_tls_for_them(
    is_as_documented: bool, mailward: StartMailward, dovecot: Dovecot, folder: Path
) -> None:
    services = documented("postfix.md", "/etc/postfix/master.cf")
    submission, mx = free_port(), free_port()
    services = services.replace("10587", str(submission)).replace("10025", str(mx))
    services = services.replace(" y ", " n ")  # this Dovecot's socket is in no chroot
    if not is_as_documented:
        services = services.replace("  -o smtpd_tls_auth_only=no\n", "")
    wants_tls = "smtpd_tls_auth_only = yes\n"
    postfix = Postfix(folder, dovecot.sasl_socket, more=wants_tls, more_services=services)
    with running(postfix):
        ward = mailward('fail2ban = "5/1h"', submission=submission, has_servers=False)

        def state() -> str:
            doors = ward.told("status")["doors"]
            return next(str(door["state"]) for door in doors if door["protocol"] == "submission")

        eventually(lambda: state() != "not asked yet", "the door has asked Postfix")
        told = guess(ward.submission, "alice", ACCOUNTS["alice"])
        if is_as_documented:
            assert (state(), told) == ("ok", Told.OK)
        else:
            assert (state().partition(":")[0], told) == (
                "the backend offers no AUTH, so nobody can log in",
                Told.LATER,
            )


def test_haproxy_understands_its_page(folder: Path) -> None:
    make_certificate(folder, datetime.fromtimestamp(SteadyClock()(), UTC))
    both = folder / "both.pem"
    both.write_bytes((folder / CERTIFICATE_NAME).read_bytes() + (folder / KEY_NAME).read_bytes())
    for page in ("haproxy.cfg", "jmap.cfg"):
        file = folder / page
        text = documented("haproxy-nginx.md", f"/etc/haproxy/{page}")
        file.write_text(text.replace("/etc/haproxy/mail.pem", str(both)))
        assert "WARNING" not in looked_at(program("haproxy"), "-c", "-f", file)


def test_nginx_understands_its_pages(folder: Path) -> None:
    file = folder / "nginx.conf"
    passing = documented("haproxy-nginx.md", "/etc/nginx/nginx.conf")
    site = documented("haproxy-nginx.md", "/etc/nginx/snippets/jmap.conf")
    head = f"{NGINX_MODULES}pid {folder}/pid;\nevents {{}}\n"
    file.write_text(f"{head}{passing}http {{\nserver {{\naccess_log off;\n{site}}}\n}}\n")
    assert "successful" in looked_at(program("nginx"), "-t", "-e", "stderr", "-c", file)
