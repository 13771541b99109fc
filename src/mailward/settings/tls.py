"""Certificates, which listener shows which, and where there may be none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from types import MappingProxyType

from mailward.settings.configuration import Bind, Certificate, DoorTls
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    CERTIFICATE_CERT,
    CERTIFICATE_PRIVATE_KEY,
    LISTENER_ALLOW_PLAINTEXT,
    LISTENER_TLS_CERTIFICATE,
    LISTENER_TLS_IMPLICIT,
)

DEFAULT_CERTIFICATE = "default"

_CERTIFICATES = "certificate"


def read_certificates(reading: Reading) -> Mapping[str, Certificate]:
    """The certificates by their ids; one that is not whole is left out, with a fault."""
    certificates = {}
    for name in reading.ids(_CERTIFICATES):
        cert = reading.given(CERTIFICATE_CERT, name)
        key = reading.given(CERTIFICATE_PRIVATE_KEY, name)
        reading.require(_CERTIFICATES, name, CERTIFICATE_CERT, CERTIFICATE_PRIVATE_KEY)
        if cert is not None and key is not None:
            certificates[name] = Certificate(name, cert.value, key.value)
    return MappingProxyType(certificates)


def read_door_tls(
    reading: Reading, name: str, certificates: Mapping[str, Certificate]
) -> DoorTls | None:
    """How the listener *name* speaks TLS; ``None`` where it has no certificate."""
    implicit = reading.one(LISTENER_TLS_IMPLICIT, name)
    read = reading.given(LISTENER_TLS_CERTIFICATE, name)
    if read is None:
        if DEFAULT_CERTIFICATE in certificates:
            return DoorTls(implicit, DEFAULT_CERTIFICATE)
        for given in reading.all(LISTENER_TLS_IMPLICIT, name) if implicit else ():
            reading.refuse(given, "needs a certificate: add [certificate.default]")
        return None
    if read.value not in certificates:
        known = f"known: {', '.join(certificates)}" if certificates else "there is none"
        reading.refuse(read.given, f'there is no certificate "{read.value}"; {known}')
        return None
    return DoorTls(implicit, read.value)


def check_plaintext(
    reading: Reading, name: str, binds: Sequence[Read[Bind]], tls: DoorTls | None, danger: str
) -> bool | None:
    """Whether the listener may do without TLS; where it would have to, but may not, is a fault.

    *danger* is what that would mean where the network can reach it. ``None``: nothing was said, so
    it may on loopback.
    """
    read = reading.given(LISTENER_ALLOW_PLAINTEXT, name)
    if read is not None and read.value:
        return True
    if read is None and reading.all(LISTENER_ALLOW_PLAINTEXT, name):
        return False  # it was set to nonsense, which is a fault of its own
    here = [bind.value for bind in binds if ip_address(bind.value.host).is_loopback]
    if tls is None and read is not None and here:
        reading.refuse(
            read.given,
            f"holds at {here[0]} too, where there is no TLS: add [certificate.default], or leave"
            " allow-plaintext out, which is for loopback alone",
        )
    for bind in binds:
        if tls is None and not ip_address(bind.value.host).is_loopback:
            # A stored "false" is what has to go where the file said "true".
            stored = read is not None and read.given.is_stored
            reading.refuse(
                read.given if read is not None and stored else bind.given,
                f"{bind.value} can be reached over the network{danger}: add [certificate.default],"
                " or bind 127.0.0.1 or [::1], or set allow-plaintext = true",
            )
    return None if read is None else False
