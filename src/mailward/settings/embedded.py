"""The mail server that is built in, and which doors it can stand behind."""

from __future__ import annotations

from datetime import timedelta

from mailward.settings.configuration import (
    EMBEDDED,
    ClientAddress,
    EmbeddedSettings,
    Protocol,
    Upstream,
    Web,
)
from mailward.settings.embeddedkeys import EMBEDDED_PATH, EMBEDDED_QUOTA, EMBEDDED_RELAY
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import LISTENER_PROTOCOL
from mailward.settings.upstreams import Spoken

SPOKEN: frozenset[Spoken] = frozenset(
    {Protocol.IMAP, Protocol.MANAGESIEVE, Protocol.SUBMISSION, Web.JMAP}
)
"""What it speaks."""
PATHS = ("/jmap",)
"""What it serves over HTTP, known before anybody has asked it."""


_CONNECT_TIMEOUT = timedelta(seconds=5)
_ANSWER_TIMEOUT = timedelta(seconds=30)
_WEB_ANSWER_TIMEOUT = timedelta(minutes=1)  # a query may look into every message


def read_embedded(reading: Reading) -> EmbeddedSettings:
    quota = reading.one(EMBEDDED_QUOTA)
    return EmbeddedSettings(
        reading.one(EMBEDDED_PATH),
        reading.optional(EMBEDDED_RELAY),
        quota if isinstance(quota, int) else None,
    )


def embedded_upstream(embedded: EmbeddedSettings, protocol: Spoken) -> Upstream:
    """The built-in mail server as a backend like any other; its path is relative like its folder.

    >>> embedded_upstream(EmbeddedSettings(), Protocol.IMAP).where
    'unix:embedded/imap.sock'
    """
    is_web = isinstance(protocol, Web)
    return Upstream(
        EMBEDDED,
        "localhost",
        0,
        ClientAddress.FORWARDED if is_web else ClientAddress.PROXY_V2,
        connect_timeout=_CONNECT_TIMEOUT,
        answer_timeout=_WEB_ANSWER_TIMEOUT if is_web else _ANSWER_TIMEOUT,
        is_web=is_web,
        path=f"{embedded.path}/{protocol.value}.sock",
    )


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
