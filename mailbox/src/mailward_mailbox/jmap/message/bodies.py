"""Which parts of a message are its text, and what is in them (RFC 8621 section 4.1.4)."""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mailward_mailbox.jmap.message.headers import as_text, header_property, raw, unfolded
from mailward_mailbox.jmap.message.mime import Part
from mailward_mailbox.message.charsets import decoded
from mailward_mailbox.message.words import decode_words

PREVIEW_CHARS = 256
PREVIEWED_OCTETS = 65_536
SEARCHED_OCTETS = 1_048_576
"""Of one part."""
PART_PROPERTIES = (
    *("partId", "blobId", "size", "name", "type", "charset"),
    *("disposition", "cid", "language", "location"),
)
ALL_PART_PROPERTIES = frozenset(PART_PROPERTIES) | {"headers", "subParts"}

_MEDIA = ("image/", "audio/", "video/")
_TEXTS = ("text/plain", "text/html")
# Possessive: what is no tag is looked at once, not once for each length its name could have.
_TAG = re.compile(r"<(/?)([A-Za-z]*+)[^<>]*+>")
_LONG_NUMBER = re.compile(r"&#(?:[0-9]{20}|[xX][0-9A-Fa-f]{20})[0-9A-Fa-f]*;?")
"""Of a character that nobody has: the standard library fails at thousands of digits."""
_HIDDEN = frozenset({"head", "script", "style", "title"})


@dataclass(slots=True)
class Bodies:
    """The parts to be shown one after the other, as text or as HTML, and the others."""

    text: list[Part] = field(default_factory=list)
    html: list[Part] = field(default_factory=list)
    attachments: list[Part] = field(default_factory=list)

    @property
    def has_attachment(self) -> bool:
        return any(disposition(part) != "inline" for part in self.attachments)


def sort_out(message: Part) -> Bodies:
    """What each part is for."""
    bodies = Bodies()
    _Sorter(bodies).sort([message], "mixed", is_alternative=False)
    return bodies


class _Sorter:
    """Sorts the parts of one message into *bodies*.

    *texts* and *htmls*: whether what is shown goes there; inside of one alternative it does not go
    to both.
    """

    def __init__(self, bodies: Bodies, *, texts: bool = True, htmls: bool = True) -> None:
        self._bodies = bodies
        self._texts = texts
        self._htmls = htmls

    def sort(self, parts: Sequence[Part], multipart: str, *, is_alternative: bool) -> None:
        texts, htmls = len(self._bodies.text), len(self._bodies.html)
        for place, part in enumerate(parts):
            if part.parts is not None:
                kind = part.type.partition("/")[2]
                below = _Sorter(self._bodies, texts=self._texts, htmls=self._htmls)
                inside = is_alternative or kind == "alternative"
                below.sort(part.parts, kind, is_alternative=inside)
            elif not _is_inline(part, place, multipart):
                self._bodies.attachments.append(part)
            elif multipart == "alternative":
                self._add_alternative(part)
            else:
                self._add_shown(part, is_alternative=is_alternative)
        if multipart == "alternative" and self._texts and self._htmls:
            self._complete(texts, htmls)

    def _add_alternative(self, part: Part) -> None:
        match part.type:
            case "text/plain":
                self._bodies.text.append(part)
            case "text/html":
                self._bodies.html.append(part)
            case _:
                self._bodies.attachments.append(part)

    def _add_shown(self, part: Part, *, is_alternative: bool) -> None:
        if is_alternative and part.type in _TEXTS:
            self._texts = self._texts and part.type == "text/plain"
            self._htmls = self._htmls and part.type == "text/html"
        if self._texts:
            self._bodies.text.append(part)
        if self._htmls:
            self._bodies.html.append(part)
        if not (self._texts and self._htmls) and part.type.startswith(_MEDIA):
            self._bodies.attachments.append(part)

    def _complete(self, texts: int, htmls: int) -> None:
        """An alternative that has only one of them is that one for both."""
        text, html = self._bodies.text[texts:], self._bodies.html[htmls:]
        if not text:
            self._bodies.text += html
        elif not html:
            self._bodies.html += text


def _is_inline(part: Part, place: int, multipart: str) -> bool:
    is_media = part.type.startswith(_MEDIA)
    if disposition(part) == "attachment" or not (is_media or part.type in _TEXTS):
        return False
    return not place or (multipart != "related" and (is_media or not name(part)))


# -- one part ----------------------------------------------------------------------------------


def disposition(part: Part) -> str | None:
    value = part.value("content-disposition")
    return None if value is None else value.word


def name(part: Part) -> str | None:
    """What its file is called."""
    value = part.value("content-disposition")
    given = None if value is None else value.parameters.get("filename")
    given = part.content.parameters.get("name") if given is None else given
    return None if given is None else decode_words(given)


def charset(part: Part) -> str | None:
    if not part.type.startswith("text/"):
        return None
    return part.content.parameters.get("charset", "us-ascii")


def text_of(part: Part, at_most: int | None = None) -> tuple[str, bool]:
    """What it says, with LF for each end of a line, and whether all of it could be read."""
    octets, is_whole = part.body()
    text, is_right = decoded(octets[:at_most], charset(part) or "")
    return text.replace("\r\n", "\n"), is_whole and is_right


def shown_part(part: Part, blob: str, wanted: Sequence[str]) -> dict[str, object]:
    """An EmailBodyPart with the properties that are *wanted*; *blob* is the message's."""
    shown: dict[str, object] = {}
    for one in wanted:
        if one == "subParts":
            if part.parts is not None:
                shown[one] = [shown_part(below, blob, wanted) for below in part.parts]
            continue
        header = header_property(one)
        shown[one] = _property(part, blob, one) if header is None else header.of(part.fields)
    return shown


def _property(part: Part, blob: str, wanted: str) -> object:
    is_leaf = part.parts is None
    match wanted:
        case "partId":
            return part.path if is_leaf else None
        case "blobId":
            return part_blob(blob, part.path) if is_leaf else None
        case "size":
            return len(part.body()[0]) if is_leaf else 0
        case _:
            return _OF_PART[wanted](part)


def _cid(part: Part) -> str | None:
    value = part.last("content-id")
    return None if value is None else unfolded(value).strip("<> \t")


def _language(part: Part) -> list[str] | None:
    value = part.last("content-language")
    return None if value is None else unfolded(value).replace(",", " ").split()


def _location(part: Part) -> str | None:
    value = part.last("content-location")
    return None if value is None else as_text(value)


def _headers(part: Part) -> list[dict[str, object]]:
    return [{"name": known, "value": raw(value)} for known, value in part.fields]


_OF_PART: Mapping[str, Callable[[Part], object]] = {
    "headers": _headers,
    "name": name,
    "type": lambda part: part.type,
    "charset": charset,
    "disposition": disposition,
    "cid": _cid,
    "language": _language,
    "location": _location,
}


def part_blob(blob: str, path: str) -> str:
    """The id of what is in one part of a message."""
    return f"{blob}-{path.replace('.', '_')}"


def split_blob(blob: str) -> tuple[str, str | None]:
    """The message's blob and the part in it, ``None``: all of it.

    >>> split_blob(part_blob("abc", "1.2"))
    ('abc', '1.2')
    """
    whole, dash, path = blob.partition("-")
    return whole, path.replace("_", ".") if dash else None


# -- as text -----------------------------------------------------------------------------------


def preview(bodies: Bodies) -> str:
    """Its first words."""
    for part in bodies.text:
        if part.type in _TEXTS:
            words = plain(part, PREVIEWED_OCTETS).split()
            if words:
                return " ".join(words)[:PREVIEW_CHARS]
    return ""


def plain(part: Part, at_most: int) -> str:
    """What a reader sees of it."""
    text, _ = text_of(part, at_most)
    return without_markup(text) if part.type == "text/html" else text


def without_markup(text: str) -> str:
    """What of it is no tag, and is shown.

    >>> without_markup("<title>x</title><p>a&amp;b<script>no</script>")
    '  a&b '
    """
    pieces: list[str] = []
    at, hidden = 0, ""
    for match in _TAG.finditer(text):
        closes, tag = match[1], match[2].lower()
        if not hidden:
            pieces += [text[at : match.start()], " "]
            if not closes and tag in _HIDDEN:
                hidden = tag
        elif closes and tag == hidden:
            hidden = ""
        at = match.end()
    if not hidden:
        pieces.append(text[at:])
    return html.unescape(_LONG_NUMBER.sub("\ufffd", "".join(pieces)))


def cut_text(text: str, octets: int) -> tuple[str, bool]:
    """As much of *text* as that many octets of UTF-8 hold, and whether that is less than all.

    >>> cut_text("grün", 3)
    ('gr', True)
    """
    encoded = text.encode()
    if not octets or len(encoded) <= octets:
        return text, False
    return encoded[:octets].decode("utf-8", "ignore"), True
