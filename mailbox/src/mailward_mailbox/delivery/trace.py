"""What a server writes above a message that it takes (RFC 5321 section 4.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from mailward_mailbox.client import Address
from mailward_mailbox.instant import Instant

MAX_TRACE_OCTETS = 4_096
"""So much shorter than a mailbox would take it a message has to be."""

_NO_NAME = re.compile(r"[^A-Za-z0-9.:_\[\]-]")
_FIELD = re.compile(rb"[\x21-\x39\x3b-\x7e]+[ \t]*:|\r?\n")


@dataclass(frozen=True, slots=True)
class Origin:
    """Who sent a message: the account's name, its client, and how that spoke with us."""

    account: str
    address: Address
    client_name: str
    protocol: str
    """As RFC 3848 and RFC 6531 register them: ``ESMTPSA``, say."""


def received(
    origin: Origin, hostname: str, recipients: list[str], identity: str, now: Instant
) -> bytes:
    """The Received field; it names the recipient where no other one learns of him by that.

    >>> from ipaddress import ip_address
    >>> origin = Origin("alice", ip_address("192.0.2.9"), "[10.0.0.1]", "ESMTPSA")
    >>> field = received(origin, "mx.example", ["bob@example"], "7", Instant(0.0))
    >>> print(" ".join(field.decode().split()[:9]))
    Received: from [10.0.0.1] ([192.0.2.9]) (authenticated as alice) by mx.example
    """
    address = f"IPv6:{origin.address}" if origin.address.version == 6 else origin.address  # noqa: PLR2004 -- IPv6
    named = _NO_NAME.sub("?", origin.client_name) or "unknown"
    lines = [
        f"Received: from {named} ([{address}])",
        f"(authenticated as {origin.account})",
        f"by {hostname} with {origin.protocol} id {identity}",
    ]
    if len(recipients) == 1:
        lines.append(f"for <{recipients[0]}>")
    date = format_datetime(datetime.fromtimestamp(now, UTC))
    return ("\r\n\t".join(lines) + f";\r\n\t{date}\r\n").encode("utf-8", "replace")


def return_path(sender: str) -> bytes:
    """The field that only the last server on the way writes."""
    return f"Return-Path: <{sender}>\r\n".encode()


def above(trace: bytes, octets: bytes) -> bytes:
    """*octets* with *trace* on top, and an empty line between where they begin with no header.

    >>> above(b"A: b\\r\\n", b"C: d\\r\\n"), above(b"A: b\\r\\n", b"hello\\r\\n")
    (b'A: b\\r\\nC: d\\r\\n', b'A: b\\r\\n\\r\\nhello\\r\\n')
    """
    return trace + octets if _FIELD.match(octets) else trace + b"\r\n" + octets
