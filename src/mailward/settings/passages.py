"""How a listener that nobody logs in at speaks TLS, and what has no use for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_address

from mailward.settings.configuration import Bind, Certificate, DoorTls, Passage
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    LISTENER_ALLOW_PLAINTEXT,
    LISTENER_TLS_CERTIFICATE,
    LISTENER_TLS_IMPLICIT,
)
from mailward.settings.tls import read_door_tls


def read_passage_tls(
    reading: Reading,
    name: str,
    protocol: Passage,
    binds: Sequence[Read[Bind]],
    certificates: Mapping[str, Certificate],
) -> tuple[DoorTls | None, bool]:
    """How the passage *name* speaks TLS, and whether mail may come without any."""
    match protocol:
        case Passage.SMTP:
            tls = read_door_tls(reading, name, certificates)
            return tls, _check_starttls(reading, name, binds, tls)
        case Passage.TCP:
            for given in reading.all(LISTENER_ALLOW_PLAINTEXT, name):
                reading.refuse(given, "has no use here: nothing of what passes is looked at")
            if reading.one(LISTENER_TLS_IMPLICIT, name):
                return read_door_tls(reading, name, certificates), True
            for given in reading.all(LISTENER_TLS_CERTIFICATE, name):
                reading.refuse(
                    given, "has no use here without tls.implicit = true: TLS passes as it is"
                )
            return None, True


def _check_starttls(
    reading: Reading, name: str, binds: Sequence[Read[Bind]], tls: DoorTls | None
) -> bool:
    """Whether mail may come over the network though there is no TLS to offer; else it's a fault."""
    read = reading.given(LISTENER_ALLOW_PLAINTEXT, name)
    if read is not None and read.value:
        return True
    if read is None and reading.all(LISTENER_ALLOW_PLAINTEXT, name):
        return False  # it was set to nonsense, which is a fault of its own
    for bind in binds:
        if tls is None and not ip_address(bind.value.host).is_loopback:
            stored = read is not None and read.given.is_stored
            reading.refuse(
                read.given if read is not None and stored else bind.given,
                f"{bind.value} can be reached over the network and has no STARTTLS to offer, which"
                " the mail server leaves to the door: add [certificate.default], or bind 127.0.0.1"
                " or [::1], or set allow-plaintext = true",
            )
    return False
