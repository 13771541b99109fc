"""How a listener that nobody logs in at speaks TLS, and what has no use for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mailward.settings.configuration import Bind, Certificate, DoorTls, Passage
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    LISTENER_ALLOW_PLAINTEXT,
    LISTENER_TLS_CERTIFICATE,
    LISTENER_TLS_IMPLICIT,
)
from mailward.settings.tls import check_plaintext, read_door_tls

_NO_STARTTLS = " and has no STARTTLS to offer, which the mail server leaves to the door"


def read_passage_tls(
    reading: Reading,
    name: str,
    protocol: Passage,
    binds: Sequence[Read[Bind]],
    certificates: Mapping[str, Certificate],
) -> tuple[DoorTls | None, bool | None]:
    """How the passage *name* speaks TLS, and whether mail may come without any."""
    match protocol:
        case Passage.SMTP:
            tls = read_door_tls(reading, name, certificates)
            return tls, check_plaintext(reading, name, binds, tls, _NO_STARTTLS)
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
