"""Certificates, and which listener shows which."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mailward.settings.configuration import Certificate, DoorTls
from mailward.settings.reading import Reading
from mailward.settings.schema import (
    CERTIFICATE_CERT,
    CERTIFICATE_PRIVATE_KEY,
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
