"""What the pages say of other programs' configuration, looked at by those programs themselves."""

from __future__ import annotations

import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.docs.markdown import DOCS, blocks
from tests.real.attack import Told, guess
from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.processes import eventually, free_port
from tests.real.servers import Dovecot, Postfix, program, running

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


def test_dovecot_understands_its_page(folder: Path) -> None:
    file = folder / "dovecot.conf"
    page = documented("dovecot.md", "/etc/dovecot/conf.d/99-mailward.conf")
    file.write_text(f"protocols = imap sieve\nssl = no\n{page}")
    told = looked_at(program("doveconf"), "-n", "-c", file)
    assert "haproxy_trusted_networks = 127.0.0.1/32" in told
    assert told.count("haproxy = yes") == 2
    assert "Warning" not in told


def test_postfix_understands_its_page(folder: Path) -> None:
    services = documented("postfix.md", "/etc/postfix/master.cf")
    postfix = Postfix(folder, folder / "sasl", more_services=services)
    etc = postfix.folder / "etc"
    told = looked_at(program("postconf"), "-c", etc, "-P")
    for name, value in (("10587", "yes"), ("10025", "no")):
        assert f"127.0.0.1:{name}/inet/smtpd_sasl_auth_enable = {value}" in told
        assert f"127.0.0.1:{name}/inet/smtpd_upstream_proxy_protocol = haproxy" in told
    assert "warning" not in looked_at(program("postconf"), "-c", etc, "-n")


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
