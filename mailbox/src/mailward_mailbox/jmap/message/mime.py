"""The parts of a message and where they stand in it (RFC 2045, RFC 2046).

No message is refused: what cannot be a part is text, or a file. Only so many parts are looked for,
and only so deep, so the time it takes grows with the message and not with what its sender thought
of.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from urllib.parse import unquote_to_bytes

from mailward_mailbox.message.charsets import decoded, read_text

MAX_HEADER_OCTETS = 262_144
"""Of one part; what follows is body."""
MAX_STRUCTURED_OCTETS = 16_384
"""Of a field that is taken apart; what follows is not looked at."""
MAX_DEPTH = 32
MAX_PARTS = 1_000

_FIELD_NAME = re.compile(rb"([!-9;-~]+)[ \t]*:")
_TYPE = re.compile(r"\s*([!#$&^_.+\-\w]+/[!#$&^_.+\-\w]+)\s*(?=;|$|\s)", re.ASCII)
_TOKEN = re.compile(r"\s*([^\s;]+)")
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"?|[^;]*)', re.DOTALL)
_SECTION = re.compile(r"([^*]+)(?:\*(\d{1,3}))?(\*?)")
_NOT_BASE64 = re.compile(rb"[^A-Za-z0-9+/]+")

Fields = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True)
class Value:
    """A field that is a word with parameters: Content-Type, Content-Disposition."""

    word: str
    parameters: dict[str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """One part of *octets*, which are the whole message; its body from *start* to *end*."""

    octets: bytes = field(repr=False)
    start: int
    end: int
    fields: Fields = field(repr=False)
    path: str
    content: Value
    has_type: bool
    parts: tuple[Part, ...] | None = None
    """``None``: it is no multipart."""

    @property
    def type(self) -> str:
        return self.content.word

    def last(self, name: str) -> bytes | None:
        """The last field of that name (in lower case)."""
        return next((raw for known, raw in reversed(self.fields) if known.lower() == name), None)

    def value(self, name: str) -> Value | None:
        raw = self.last(name)
        return None if raw is None else read_value(raw, _TOKEN)

    def body(self) -> tuple[bytes, bool]:
        """What it holds, without its transfer encoding; and whether all of it could be read."""
        raw = self.octets[self.start : self.end]
        coding = (self.last("content-transfer-encoding") or b"").strip().lower()
        match coding:
            case b"base64":
                return _from_base64(raw)
            case b"quoted-printable":
                return binascii.a2b_qp(raw), True
            case b"" | b"7bit" | b"8bit" | b"binary":
                return raw, True
            case _:
                return raw, False

    def walk(self) -> Iterator[Part]:
        """It, and all below it, in their order."""
        left = [self]
        while left:
            part = left.pop()
            yield part
            left.extend(reversed(part.parts or ()))

    def find(self, path: str) -> Part | None:
        """The part of that id that is no multipart."""
        return next((one for one in self.walk() if one.path == path and one.parts is None), None)


def read_message(octets: bytes) -> Part:
    """All parts of a message."""
    return _Reader(octets).read()


def read_header(octets: bytes) -> Fields:
    """The fields of a message; *octets* may end anywhere behind them."""
    return _fields(octets, 0, len(octets))[0]


def read_value(raw: bytes, word: re.Pattern[str] = _TYPE) -> Value | None:
    """*raw* with its parameters, those of RFC 2231 put together; ``None``: it is nothing.

    >>> read_value(b" text/plain; charset=UTF-8; name*0*=utf-8''%c3; name*1*=%a4")
    Value(word='text/plain', parameters={'charset': 'UTF-8', 'name': 'ä'})
    """
    line = read_text(raw[:MAX_STRUCTURED_OCTETS])
    match = word.match(line)
    if match is None:
        return None
    plain: dict[str, str] = {}
    sections: dict[str, list[tuple[int, bool, str]]] = {}
    for name, value in _PARAMETER.findall(line[match.end() :]):
        split = _SECTION.fullmatch(name)
        if split is None or not (split[2] or split[3]):
            plain.setdefault(name.lower(), _unquoted(value))
        else:
            section = (int(split[2] or 0), bool(split[3]), _unquoted(value))
            sections.setdefault(split[1].lower(), []).append(section)
    joined = {name: _joined(of_it) for name, of_it in sections.items()}
    return Value(match[1].lower(), plain | joined)


class _Reader:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._left = MAX_PARTS

    def read(self) -> Part:
        return self._part(0, len(self._octets), "", 0, "text/plain")

    def _part(self, start: int, end: int, path: str, depth: int, implied: str) -> Part:
        fields, body = _fields(self._octets, start, end)
        raw = next((raw for name, raw in reversed(fields) if name.lower() == "content-type"), None)
        content = None if raw is None else read_value(raw)
        has_type = content is not None
        content = content or Value(implied, {})
        parts = None
        if content.word.startswith("multipart/"):
            parts = self._parts(body, end, path, depth, content)
            if parts is None:
                # Too deep, or without anything that parts it: then it is shown as it stands.
                word = "text/plain" if depth < MAX_DEPTH else "application/octet-stream"
                content = Value(word, {})
        place = path or ("" if parts else "1")
        return Part(self._octets, body, end, fields, place, content, has_type, parts)

    def _parts(
        self, start: int, end: int, path: str, depth: int, content: Value
    ) -> tuple[Part, ...] | None:
        boundary = content.parameters.get("boundary", "")
        if depth >= MAX_DEPTH or not boundary:
            return None
        spans = list(self._spans(start, end, boundary.encode("utf-8", "surrogateescape")))
        implied = "message/rfc822" if content.word == "multipart/digest" else "text/plain"
        above = f"{path}." if path else ""
        return (
            tuple(
                self._part(first, last, f"{above}{number}", depth + 1, implied)
                for number, (first, last) in enumerate(spans, 1)
            )
            or None
        )

    def _spans(self, start: int, end: int, boundary: bytes) -> Iterator[tuple[int, int]]:
        """Where each part stands, while there may be more."""
        begun = None
        for line, after, is_last in self._delimiters(start, end, b"--" + boundary):
            if begun is not None:
                yield begun, max(begun, line)
            begun = None if is_last or not self._left else after
            if begun is None:
                return
            self._left -= 1
        if begun is not None:
            yield begun, end  # the closing delimiter is missing

    def _delimiters(
        self, start: int, end: int, delimiter: bytes
    ) -> Iterator[tuple[int, int, bool]]:
        """For each line that is one: where what stands before it ends, where the next begins."""
        octets, at = self._octets, start
        while (found := octets.find(delimiter, at, end)) >= 0:
            line_end = octets.find(b"\n", found, end)
            after = end if line_end < 0 else line_end + 1
            at = after  # in this line there is no other beginning of one
            if found != start and octets[found - 1 : found] != b"\n":
                continue
            rest = octets[found + len(delimiter) : min(after, found + len(delimiter) + 1_000)]
            is_last = rest.startswith(b"--")
            if not is_last and rest.strip():
                continue  # another boundary that begins like this one
            before = found
            if before > start:  # the line's end before a delimiter is part of that
                before -= 2 if octets[max(start, found - 2) : found] == b"\r\n" else 1
            yield before, after, is_last


def without_fields(octets: bytes, names: Collection[str]) -> bytes:
    """The message without the fields of those names (in lower case).

    >>> without_fields(b"To: a\\nBcc: b,\\n c\\n\\nBcc: stays", ["bcc"])
    b'To: a\\n\\nBcc: stays'
    """
    kept, at = [], 0
    for one in _header(octets, 0, len(octets))[0]:
        if one.name.lower() in names:
            kept.append(octets[at : one.start])
            at = one.end
    return b"".join([*kept, octets[at:]])


@dataclass(frozen=True, slots=True)
class _Field:
    """Where a field stands; its value begins at *value*."""

    name: str
    start: int
    value: int
    end: int


def _fields(octets: bytes, start: int, end: int) -> tuple[Fields, int]:
    """The fields from *start* on, and where the body begins."""
    header, body = _header(octets, start, end)
    return tuple((one.name, _line(octets[one.value : one.end])) for one in header), body


def _header(octets: bytes, start: int, end: int) -> tuple[list[_Field], int]:
    found: list[_Field] = []
    at, limit = start, min(end, start + MAX_HEADER_OCTETS)
    if octets.startswith(b"From ", at, end):
        at = _next_line(octets, at, end)  # how a mailbox in one file begins a message
    while at < limit:
        if octets.startswith((b"\r\n", b"\n"), at, end):
            return found, _next_line(octets, at, end)
        name = _FIELD_NAME.match(octets, at, limit)
        if name is None:
            break  # the empty line is missing
        after = _next_line(octets, at, limit)
        while octets.startswith((b" ", b"\t"), after, limit):
            after = _next_line(octets, after, limit)
        found.append(_Field(name[1].decode("ascii"), at, name.end(), after))
        at = after
    return found, at


def _next_line(octets: bytes, at: int, end: int) -> int:
    found = octets.find(b"\n", at, end)
    return end if found < 0 else found + 1


def _line(raw: bytes) -> bytes:
    """Without the line's end that ends it."""
    if raw.endswith(b"\r\n"):
        return raw[:-2]
    return raw.removesuffix(b"\n")


def _from_base64(raw: bytes) -> tuple[bytes, bool]:
    """As much as can be read: what is no base64 is passed over (RFC 2045 section 6.8)."""
    clean = _NOT_BASE64.sub(b"", raw)
    if len(clean) % 4 == 1:
        return b64decode(clean[:-1] + b"=" * (-(len(clean) - 1) % 4)), False
    return b64decode(clean + b"=" * (-len(clean) % 4)), True


def _unquoted(text: str) -> str:
    if not text.startswith('"'):
        return text.strip()
    body = text[1:]
    return re.sub(r"\\(.)", r"\1", body.removesuffix('"'), flags=re.DOTALL)


def _joined(sections: list[tuple[int, bool, str]]) -> str:
    """A parameter in pieces, the first of which may say its character set (RFC 2231)."""
    octets, charset = b"", "utf-8"
    for number, (_, is_encoded, text) in enumerate(sorted(sections)):
        piece = text
        if is_encoded and not number and piece.count("'") >= 2:  # noqa: PLR2004 -- charset'language'
            charset, _, piece = piece.split("'", 2)
        raw = piece.encode("utf-8", "surrogateescape")
        octets += unquote_to_bytes(raw) if is_encoded else raw
    return decoded(octets, charset)[0]
