"""One part of a message: where it stands and how its header describes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mailward_mailbox.message.header import Header
from mailward_mailbox.message.parameters import Parameters, read_word
from mailward_mailbox.message.transfer import decode

MAX_LANGUAGES = 100


@dataclass(frozen=True, slots=True)
class Part:
    """One part of *octets*, which are the whole message; a message is a part, too.

    Its header stands from *header_start* to *body_start* and includes the empty line, its body
    from there to *body_end*. The end of a line before a boundary belongs to the boundary (RFC 2046
    section 5.1.1). Nothing is copied: all parts share *octets*.
    """

    octets: bytes = field(repr=False)
    path: str
    """Its number as in sections of IMAP (RFC 9051 section 6.4.5.1): ``1.2``. A message that is a
    multipart has that of the part it is in, the outermost ``""``."""
    header_start: int
    header_end: int
    """Where the fields end, before the empty line."""
    body_start: int
    body_end: int
    kind: str
    """The type without its subtype, both in lower case."""
    subtype: str
    params: Parameters
    mime: Mapping[str, bytes] = field(repr=False)
    """The fields of its header that describe its content (``"id"``: Content-ID), unfolded."""
    parts: tuple[Part, ...] = ()
    """Of a multipart, which has at least one; no other part has any."""
    message: Part | None = None
    """Of message/rfc822 and message/global; no other part has one."""

    @property
    def type(self) -> str:
        return f"{self.kind}/{self.subtype}"

    @property
    def header(self) -> Header:
        """Its fields. Hold on to it: each use reads them anew, so that no part keeps them all."""
        return Header(self.octets, self.header_start, self.header_end)

    @property
    def content_id(self) -> bytes | None:
        return self.mime.get("id")

    @property
    def description(self) -> bytes | None:
        return self.mime.get("description")

    @property
    def md5(self) -> bytes | None:
        return self.mime.get("md5")

    @property
    def location(self) -> bytes | None:
        return self.mime.get("location")

    @property
    def encoding(self) -> str:
        """The Content-Transfer-Encoding in lower case; ``7bit`` where there is none."""
        found = read_word(self.mime.get("transfer-encoding", b""))
        return "7bit" if found is None else found[0]

    @property
    def disposition(self) -> tuple[str, Parameters] | None:
        """The word of Content-Disposition in lower case, and its parameters (RFC 2183)."""
        return read_word(self.mime.get("disposition", b""))

    @property
    def languages(self) -> tuple[str, ...]:
        """The tags of Content-Language (RFC 3282)."""
        text = self.mime.get("language", b"").decode("ascii", "ignore")
        return tuple(text.replace(",", " ").split(None, MAX_LANGUAGES)[:MAX_LANGUAGES])

    @property
    def size(self) -> int:
        """Octets of its body as it stands, encoded."""
        return self.body_end - self.body_start

    @property
    def lines(self) -> int:
        """Ends of lines in its body; a last line without one is not counted."""
        return self.octets.count(b"\n", self.body_start, self.body_end)

    def body_octets(self) -> bytes:
        return self.octets[self.body_start : self.body_end]

    def decoded(self) -> bytes:
        """Its body without the transfer encoding; wrong octets in it are passed over.

        Raises:
            UnknownEncodingError: the encoding is unknown.
        """
        return decode(self.body_octets(), self.encoding)[0]

    def walk(self) -> Iterator[Part]:
        """It and all parts below it in their order, but for those of messages inside."""
        left = [self]
        while left:
            part = left.pop()
            yield part
            left.extend(reversed(part.parts))
