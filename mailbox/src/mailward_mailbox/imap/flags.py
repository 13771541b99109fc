"""Flags on the wire (RFC 9051 section 2.3.2): their names have no case of their own."""

from __future__ import annotations

from collections.abc import Iterable

from mailward_mailbox.mail.model import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN, Flags

RECENT = "\\Recent"
"""Of IMAP4rev1 alone, and never stored: the first session that is told of a message has it."""
SYSTEM_FLAGS = (ANSWERED, FLAGGED, DELETED, SEEN, DRAFT)

_KNOWN = {
    flag.lower(): flag
    for flag in (*SYSTEM_FLAGS, RECENT, "$Forwarded", "$MDNSent", "$Junk", "$NotJunk", "$Phishing")
}


def flag_from_wire(octets: bytes) -> str:
    r"""The one spelling of a flag.

    >>> flag_from_wire(b"\\SEEN"), flag_from_wire(b"$forwarded"), flag_from_wire(b"Work")
    ('\\Seen', '$Forwarded', 'Work')
    """
    flag = octets.decode("ascii")
    return _KNOWN.get(flag.lower(), flag)


def added(flags: Flags, more: Flags) -> Flags:
    """*flags* and those of *more* that are not among them in any case."""
    have = {flag.lower() for flag in flags}
    return flags | {flag for flag in more if flag.lower() not in have}


def removed(flags: Flags, fewer: Flags) -> Flags:
    """*flags* without those that *fewer* has in any case."""
    gone = {flag.lower() for flag in fewer}
    return frozenset(flag for flag in flags if flag.lower() not in gone)


def write_flags(flags: Iterable[str]) -> bytes:
    r"""Flags in parentheses; system flags first.

    >>> write_flags({"work", "\\Seen"})
    b'(\\Seen work)'
    """
    return f"({' '.join(sorted(flags, key=_place))})".encode("ascii")


def _place(flag: str) -> tuple[bool, str]:
    return not flag.startswith("\\"), flag
