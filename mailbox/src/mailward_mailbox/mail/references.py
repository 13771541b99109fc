"""Which messages a message belongs to: the Message-IDs in its header (RFC 5322 section 3.6.4)."""

from __future__ import annotations

import re

MAX_HEADER_OCTETS = 131_072
MAX_REFERENCES = 100
"""The last of them: whoever answers puts the nearest one there."""
MAX_ID_OCTETS = 998

_FIELD = re.compile(
    rb"^(?:message-id|in-reply-to|references)[ \t]*:((?:[^\r\n]|\r?\n[ \t])*)",
    re.IGNORECASE | re.MULTILINE,
)
_ID = re.compile(rb"<([^<>\s]{1,%d})>" % MAX_ID_OCTETS)
_END = re.compile(rb"\r?\n\r?\n")


def references(octets: bytes) -> tuple[str, ...]:
    """Every Message-ID that the header names, its own among them; each once.

    >>> references(b"Message-ID: <b@example>\\r\\nReferences: <a@example>\\r\\n\\r\\n<c@example>")
    ('b@example', 'a@example')
    """
    header = octets[:MAX_HEADER_OCTETS]
    end = _END.search(header)
    if end is not None:
        header = header[: end.end()]
    found: dict[str, None] = {}
    for field in _FIELD.finditer(header):
        for name in _ID.finditer(field[1]):
            found.setdefault(name[1].decode("utf-8", "surrogateescape"))
    # What is no UTF-8 is no name that a file of text could hold.
    return tuple(name for name in found if name.isprintable())[-MAX_REFERENCES:]
