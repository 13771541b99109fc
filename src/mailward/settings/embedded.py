"""The mail server that is built in, and which doors it can stand behind."""

from __future__ import annotations

from mailward.settings.configuration import EMBEDDED, EmbeddedSettings, Protocol, Web
from mailward.settings.embeddedkeys import EMBEDDED_PATH, EMBEDDED_RELAY
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import LISTENER_PROTOCOL
from mailward.settings.upstreams import Spoken

SPOKEN: frozenset[Spoken] = frozenset(
    {Protocol.IMAP, Protocol.MANAGESIEVE, Protocol.SUBMISSION, Web.JMAP}
)
"""What it speaks."""


def read_embedded(reading: Reading) -> EmbeddedSettings:
    return EmbeddedSettings(reading.one(EMBEDDED_PATH), reading.optional(EMBEDDED_RELAY))


def check_spoken(reading: Reading, name: str, spoken: Spoken, backend: Read[str]) -> None:
    """Refuse a listener whose protocol the embedded server does not speak."""
    if backend.value != EMBEDDED or spoken in SPOKEN:
        return
    given = (backend.given, *reading.all(LISTENER_PROTOCOL, name))
    known = ", ".join(sorted(one.value for one in SPOKEN))
    reading.refuse(
        next((one for one in given if one.is_stored), backend.given),
        f"the embedded mail server does not speak {spoken.value}, only: {known};"
        " give the listener another backend",
    )
