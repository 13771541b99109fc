"""ENVELOPE, BODY and BODYSTRUCTURE (RFC 9051 section 7.5.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from mailward_mailbox.imap.fetch.strings import nstring, string
from mailward_mailbox.message.addresses import EnvelopeAddress, envelope_addresses
from mailward_mailbox.message.header import MAX_HEADER_OCTETS, Header, unfolded
from mailward_mailbox.message.parameters import Parameters
from mailward_mailbox.message.part import Part

MAX_ADDRESS_OCTETS = 1_048_576
"""Of one response: ``a,`` becomes nine times as long. Lists of addresses behind that are NIL."""

NIL = b"NIL"

_ENVELOPE = re.compile(
    rb"^(date|subject|from|sender|reply-to|to|cc|bcc|in-reply-to|message-id)[ \t]*+:"
    rb"([^\n]*+(?:\n[ \t][^\n]*+)*+)",
    re.MULTILINE | re.IGNORECASE,
)


class StructureWriter:
    """Writes what is asked for of one message.

    *is_utf8*: the session has enabled IMAP4rev2 or UTF8=ACCEPT. Quoted strings may then hold UTF-8,
    and message/global has the structure of message/rfc822.
    """

    def __init__(self, *, is_utf8: bool) -> None:
        self._is_utf8 = is_utf8
        self._left = MAX_ADDRESS_OCTETS

    def envelope(self, header: Header) -> bytes:
        """Dates and encoded words stay as they stand in the header.

        An absent field is NIL, an empty one ``""``; sender and reply-to are those of from where
        they are absent or empty.
        """
        fields = _first_fields(header)
        senders = self._addresses(fields.get(b"from"))
        lists = (
            senders,
            self._addresses(fields.get(b"sender")) or senders,
            self._addresses(fields.get(b"reply-to")) or senders,
            *(self._addresses(fields.get(name)) for name in (b"to", b"cc", b"bcc")),
        )
        return b"(%b %b %b %b %b)" % (
            self._field(fields.get(b"date")),
            self._field(fields.get(b"subject")),
            b" ".join([one or NIL for one in lists]),
            self._field(fields.get(b"in-reply-to")),
            self._field(fields.get(b"message-id")),
        )

    def body(self, part: Part, *, is_extended: bool) -> bytes:
        """BODYSTRUCTURE, or without extension data BODY."""
        if part.parts:
            written = b"".join(self.body(one, is_extended=is_extended) for one in part.parts)
            written += b" " + string(part.subtype.encode())
            extension = [self._parameters(part.params)]
        else:
            written = b" ".join(self._leaf(part, is_extended=is_extended))
            extension = [self._nstring(part.md5)]
        if is_extended:
            extension += self._extension(part)
            written += b" " + b" ".join(extension)
        return b"(%b)" % written

    def _leaf(self, part: Part, *, is_extended: bool) -> list[bytes]:
        fields = [
            string(part.kind.encode()),
            string(part.subtype.encode()),
            self._parameters(_with_charset(part)),
            self._nstring(part.content_id),
            self._nstring(part.description),
            string(part.encoding.encode()),
            b"%d" % part.size,
        ]
        if part.message is not None and (part.subtype == "rfc822" or self._is_utf8):
            fields += [
                self.envelope(part.message.header),
                self.body(part.message, is_extended=is_extended),
                b"%d" % part.lines,
            ]
        elif part.kind == "text":
            fields.append(b"%d" % part.lines)
        return fields

    def _extension(self, part: Part) -> list[bytes]:
        """What follows the MD5 of a leaf and the parameters of a multipart."""
        disposition, languages = part.disposition, part.languages
        return [
            NIL
            if disposition is None
            else b"(%b %b)" % (string(disposition[0].encode()), self._parameters(disposition[1])),
            b"(%b)" % b" ".join(string(one.encode()) for one in languages) if languages else NIL,
            self._nstring(part.location),
        ]

    def _parameters(self, parameters: Parameters) -> bytes:
        if not parameters:
            return NIL
        return b"(%b)" % b" ".join(
            string(name.encode()) + b" " + string(value, is_utf8=self._is_utf8)
            for name, value in parameters
        )

    def _nstring(self, octets: bytes | None) -> bytes:
        return nstring(octets, is_utf8=self._is_utf8)

    def _field(self, value: bytes | None) -> bytes:
        return NIL if value is None else string(unfolded(value), is_utf8=self._is_utf8)

    def _addresses(self, value: bytes | None) -> bytes:
        """The list, empty where there is no address in it."""
        found = envelope_addresses(value) if value and self._left > 0 else []
        if not found:
            return b""
        written = b"(%b)" % b"".join(map(self._address, found))
        self._left -= len(written)
        return written

    def _address(self, one: EnvelopeAddress) -> bytes:
        return b"(%b %b %b %b)" % (
            self._nstring(one.name),
            self._nstring(one.route),
            self._nstring(one.mailbox),
            self._nstring(one.host),
        )


def _with_charset(part: Part) -> Parameters:
    """The parameters; US-ASCII is the charset of a text that names none (RFC 2046, 4.1.2)."""
    if part.kind != "text" or any(name.lower().startswith("charset") for name, _ in part.params):
        return part.params
    return *part.params, ("charset", b"us-ascii")


def _first_fields(header: Header) -> Mapping[bytes, bytes]:
    """The first field of each name that an envelope has, four times as fast as all fields."""
    found: dict[bytes, bytes] = {}
    limit = min(header.end, header.start + MAX_HEADER_OCTETS)
    for one in _ENVELOPE.finditer(header.octets, header.start, limit):
        found.setdefault(one[1].lower(), one[2])
    return found
