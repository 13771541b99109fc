"""Two functions of pymap's that one octet of a stranger's, or a kilobyte, could stop the server in.

Its reader of mailbox names never ends where a ``&`` has no ``-`` behind it; and the standard
library's readers of header fields, which it calls, take time that grows with the square of a
field's length, or give up on what is nested deep. Both are replaced for the whole process: nobody
else uses pymap in it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence
from email.headerregistry import BaseHeader, HeaderRegistry
from email.policy import SMTP
from itertools import islice

import pymap.parsing.command.auth as pymap_auth
import pymap.parsing.specials.mailbox as pymap_mailbox
from pymap.mime.parsed import ParsedHeaders

MAX_FIELD_OCTETS = 4_096
"""Of a field that is taken apart: what follows is not looked at."""
MAX_SAME_FIELDS = 4

_REGISTRY = HeaderRegistry()


def harden() -> None:
    """Replace both."""
    for reader in (pymap_auth, pymap_mailbox):
        vars(reader)["modutf7_decode"] = mailbox_name
    ParsedHeaders._parse = classmethod(_read_all)  # type: ignore[assignment, method-assign]  # noqa: SLF001 -- there is no other way


def mailbox_name(octets: bytes) -> str:
    """A name in modified UTF-7 (RFC 3501 section 5.1.3); what is none stands for itself.

    >>> mailbox_name(b"Entw&APw-rfe &- more"), mailbox_name(b"a&b"), mailbox_name(b"&!!!-")
    ('Entwürfe & more', 'a&b', '&!!!-')
    """
    pieces: list[str] = []
    at = 0
    while (begin := octets.find(b"&", at)) >= 0:
        end = octets.find(b"-", begin)
        if end < 0:
            break
        pieces += (octets[at:begin].decode("latin-1"), _shifted(octets[begin + 1 : end]))
        at = end + 1
    pieces.append(octets[at:].decode("latin-1"))
    return "".join(pieces)


def _shifted(encoded: bytes) -> str:
    """What stands between ``&`` and ``-``."""
    if not encoded:
        return "&"
    try:
        octets = b64decode(encoded.replace(b",", b"/") + b"=" * (-len(encoded) % 4), validate=True)
        return octets.decode("utf-16-be")
    except (binascii.Error, ValueError):
        return f"&{encoded.decode('latin-1')}-"


def _read_all(_of: type[ParsedHeaders], values: Sequence[Sequence[bytes]]) -> Iterable[BaseHeader]:
    """Fields of one name, each given as its lines."""
    return (_read(list(_first(lines))) for lines in islice(values, MAX_SAME_FIELDS))


def _first(lines: Sequence[bytes]) -> Iterator[str]:
    left = MAX_FIELD_OCTETS
    for line in lines:
        if left > 0:
            yield bytes(line[:left]).decode("ascii", "surrogateescape")
        left -= len(line)


def _read(lines: list[str]) -> BaseHeader:
    name, value = SMTP.header_source_parse(lines)
    try:
        return _REGISTRY(name, value)
    except Exception:  # noqa: BLE001 -- of the many that strange fields raise there
        return _REGISTRY(name, "")
