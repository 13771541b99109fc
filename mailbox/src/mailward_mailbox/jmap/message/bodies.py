"""Which parts of a message are its text, and what is in them (RFC 8621 section 4.1.4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from mailward_mailbox.jmap.message.headers import header_property, shown_header
from mailward_mailbox.message.forms import text_of_field
from mailward_mailbox.message.parameters import joined
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.text import body_of, charset_of, plain
from mailward_mailbox.message.words import composed, decode_words

PREVIEW_CHARS = 256
PREVIEWED_OCTETS = 65_536
PART_PROPERTIES = (
    *("partId", "blobId", "size", "name", "type", "charset"),
    *("disposition", "cid", "language", "location"),
)
ALL_PART_PROPERTIES = frozenset(PART_PROPERTIES) | {"headers", "subParts"}

_MEDIA = ("image/", "audio/", "video/")
_TEXTS = ("text/plain", "text/html")


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
            if part.parts:
                below = _Sorter(self._bodies, texts=self._texts, htmls=self._htmls)
                inside = is_alternative or part.subtype == "alternative"
                below.sort(part.parts, part.subtype, is_alternative=inside)
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
    found = part.disposition
    return None if found is None else found[0]


def name(part: Part) -> str | None:
    """What its file is called."""
    _, params = part.disposition or ("", ())
    given = joined(params).get("filename")
    given = joined(part.params).get("name") if given is None else given
    return None if given is None else composed(decode_words(given))


def leaves(message: Part) -> list[Part]:
    """All parts that are no multipart; those of messages inside are not among them."""
    return [part for part in message.walk() if not part.parts]


def shown_part(part: Part, blob: str, wanted: Sequence[str]) -> dict[str, object]:
    """An EmailBodyPart with the properties that are *wanted*; *blob* is the message's."""
    shown: dict[str, object] = {}
    header = part.header
    for one in wanted:
        if one == "subParts":
            if part.parts:
                shown[one] = [shown_part(below, blob, wanted) for below in part.parts]
            continue
        of_header = header_property(one)
        if of_header is not None:
            shown[one] = of_header.of(header)
        else:
            shown[one] = shown_header(header) if one == "headers" else _property(part, blob, one)
    return shown


def _property(part: Part, blob: str, wanted: str) -> object:
    match wanted:
        case "partId":
            return None if part.parts else part.path
        case "blobId":
            return None if part.parts else part_blob(blob, part.path)
        case "size":
            return 0 if part.parts else len(body_of(part)[0])
        case _:
            return _OF_PART[wanted](part)


def _cid(part: Part) -> str | None:
    value = part.content_id
    return None if value is None else text_of_field(value).strip("<> \t")


def _language(part: Part) -> list[str] | None:
    return None if "language" not in part.mime else list(part.languages)


def _location(part: Part) -> str | None:
    value = part.location
    return None if value is None else text_of_field(value)


_OF_PART: Mapping[str, Callable[[Part], object]] = {
    "name": name,
    "type": lambda part: part.type,
    "charset": charset_of,
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


def cut_text(text: str, octets: int) -> tuple[str, bool]:
    """As much of *text* as that many octets of UTF-8 hold, and whether that is less than all.

    >>> cut_text("grün", 3)
    ('gr', True)
    """
    if not octets:
        return text, False
    encoded = text[: octets + 1].encode()  # a character has one octet at least
    if len(encoded) <= octets:
        return text, False
    return encoded[:octets].decode("utf-8", "ignore"), True
