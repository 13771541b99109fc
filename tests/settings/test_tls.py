"""Certificates and who shows them."""

from __future__ import annotations

from mailward.settings.configuration import Certificate, DoorTls
from tests.settings.sample import BACKEND, IMAP, configured, faults

PAIR = 'cert = "/etc/ssl/mail.pem"\nprivate-key = "/etc/ssl/mail.key"'
DEFAULT = f"[certificate.default]\n{PAIR}"
OTHER = f"[certificate.other]\n{PAIR}"
BEHIND = '[backend.b]\naddress = "127.0.0.1:10143"'


def door(more: str = "", bind: str = "0.0.0.0:993") -> str:
    return f'[server.listener.imap]\n{IMAP}\nbind = ["{bind}"]\n{BACKEND}\n{more}\n{BEHIND}\n'


def test_a_door_shows_the_default_certificate_if_there_is_one() -> None:
    configuration = configured(door() + DEFAULT)
    (listener,) = configuration.listeners
    assert listener.tls == DoorTls(implicit=False, certificate="default")
    assert configuration.certificates == {
        "default": Certificate("default", "/etc/ssl/mail.pem", "/etc/ssl/mail.key")
    }


def test_a_door_shows_the_certificate_it_names() -> None:
    text = door('tls.certificate = "other"\ntls.implicit = true') + f"{DEFAULT}\n{OTHER}"
    (listener,) = configured(text).listeners
    assert listener.tls == DoorTls(implicit=True, certificate="other")


def test_without_a_certificate_there_is_no_tls() -> None:
    (listener,) = configured(door(bind="127.0.0.1:143")).listeners
    assert listener.tls is None


def test_implicit_tls_needs_a_certificate() -> None:
    (fault,) = faults(door("tls.implicit = true", "127.0.0.1:993"))
    assert fault == (
        "mail.toml:5: server.listener.imap.tls.implicit: needs a certificate:"
        " add [certificate.default]"
    )


def test_an_unknown_certificate_is_a_fault_that_names_those_there_are() -> None:
    (fault,) = faults(door('tls.certificate = "othr"', "127.0.0.1:993") + OTHER)
    assert fault.endswith('there is no certificate "othr"; known: other')


def test_a_certificate_needs_both_its_files() -> None:
    (fault,) = faults('[certificate.default]\ncert = "/etc/ssl/mail.pem"')
    assert fault.startswith("mail.toml:2: certificate.default: is not whole: it needs private-key")
