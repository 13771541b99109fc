"""Email/get (RFC 8621 section 4.2) and Thread/get (section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from mailward_mailbox.jmap.contents import looked_at
from mailward_mailbox.jmap.desk import MAX_CONTENT_CHARS, Desk, keywords, weight
from mailward_mailbox.jmap.errors import invalid
from mailward_mailbox.jmap.message.bodies import (
    ALL_PART_PROPERTIES,
    PART_PROPERTIES,
    Bodies,
    cut_text,
    leaves,
    preview,
    shown_part,
    sort_out,
)
from mailward_mailbox.jmap.message.headers import HeaderProperty, header_property, shown_header
from mailward_mailbox.jmap.methods.standard import Get, get_answer
from mailward_mailbox.jmap.values import Arguments, flag, listed, text, unsigned, utc_date
from mailward_mailbox.mail.model import Message
from mailward_mailbox.message.header import Header
from mailward_mailbox.message.parse import parse, parse_header
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.text import text_of

_IN_MEMORY = frozenset({"id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt"})
_CONVENIENT: Mapping[str, HeaderProperty] = MappingProxyType(
    {
        "messageId": HeaderProperty("message-id", "MessageIds", is_all=False),
        "inReplyTo": HeaderProperty("in-reply-to", "MessageIds", is_all=False),
        "references": HeaderProperty("references", "MessageIds", is_all=False),
        "sender": HeaderProperty("sender", "Addresses", is_all=False),
        "from": HeaderProperty("from", "Addresses", is_all=False),
        "to": HeaderProperty("to", "Addresses", is_all=False),
        "cc": HeaderProperty("cc", "Addresses", is_all=False),
        "bcc": HeaderProperty("bcc", "Addresses", is_all=False),
        "replyTo": HeaderProperty("reply-to", "Addresses", is_all=False),
        "subject": HeaderProperty("subject", "Text", is_all=False),
        "sentAt": HeaderProperty("date", "Date", is_all=False),
    }
)
_IN_BODY = frozenset(
    {
        *("bodyStructure", "bodyValues", "textBody", "htmlBody", "attachments"),
        *("hasAttachment", "preview"),
    }
)
_DEFAULT = (
    *("id", "blobId", "threadId", "mailboxIds", "keywords", "size", "receivedAt", "messageId"),
    *("inReplyTo", "references", "sender", "from", "to", "cc", "bcc", "replyTo", "subject"),
    *("sentAt", "hasAttachment", "preview", "bodyValues", "textBody", "htmlBody", "attachments"),
)
_THREAD_PROPERTIES = ("id", "emailIds")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be shown of each email."""

    properties: Sequence[str]
    part_properties: Sequence[str]
    texts: bool
    htmls: bool
    everything: bool
    max_octets: int

    @property
    def needs_body(self) -> bool:
        return not _IN_BODY.isdisjoint(self.properties)

    @property
    def needs_header(self) -> bool:
        return not _IN_MEMORY.issuperset(self.properties)


async def email_get(desk: Desk, arguments: Arguments) -> dict[str, object]:
    get = Get.read(
        arguments,
        lambda: [name for name in desk.mail.emails if desk.places(name)],
        _is_property,
        _DEFAULT,
    )
    wanted = Wanted(
        get.properties,
        arguments.maybe("bodyProperties", _part_properties, PART_PROPERTIES),
        arguments.maybe("fetchTextBodyValues", flag, default=False),
        arguments.maybe("fetchHTMLBodyValues", flag, default=False),
        arguments.maybe("fetchAllBodyValues", flag, default=False),
        arguments.maybe("maxBodyValueBytes", unsigned, 0),
    )
    arguments.end()
    places = {name: desk.places(desk.named(name)) for name in get.ids}
    there = [of_it for of_it in places.values() if of_it]
    found = [_in_memory(of_it) for of_it in there]
    if wanted.needs_header:
        await _add_contents(desk, wanted, [of_it[0] for of_it in there], found)
    shown = [{name: one[name] for name in get.properties} for one in found if len(one) > 0]
    return get_answer(desk, shown, [name for name, of_it in places.items() if not of_it])


async def _add_contents(
    desk: Desk, wanted: Wanted, messages: Sequence[Message], found: Sequence[dict[str, object]]
) -> None:
    """Add to each of *found* what is in its message; what is gone meanwhile becomes empty."""

    def look(place: int, octets: bytes) -> tuple[dict[str, object], int]:
        shown = shown_content(octets, messages[place].blob, wanted)
        return shown, weight(shown, MAX_CONTENT_CHARS)

    missing = set(range(len(messages)))
    async for place, (shown, chars) in looked_at(
        desk, messages, look, header_only=not wanted.needs_body
    ):
        desk.spend(chars)
        missing.discard(place)
        found[place].update(shown)
    for place in missing:
        found[place].clear()


async def thread_get(desk: Desk, arguments: Arguments) -> dict[str, object]:
    get = Get.read(
        arguments,
        lambda: list(desk.mail.threads),
        _THREAD_PROPERTIES.__contains__,
        _THREAD_PROPERTIES,
    )
    arguments.end()
    found: list[dict[str, object]] = []
    missing = []
    for name in get.ids:
        thread = desk.named(name)
        emails = [
            places[0] for one in desk.mail.threads.get(thread, ()) if (places := desk.places(one))
        ]
        if not emails:
            missing.append(name)
            continue
        emails.sort(key=lambda message: (message.received, message.email))
        shown = {"id": thread, "emailIds": [message.email for message in emails]}
        found.append({one: shown[one] for one in get.properties})
    return get_answer(desk, found, missing)


def _is_property(name: str) -> bool:
    return (
        name in _IN_MEMORY
        or name in _CONVENIENT
        or name in _IN_BODY
        or name == "headers"
        or header_property(name) is not None
    )


def _part_properties(value: object) -> Sequence[str]:
    names = list(dict.fromkeys(listed(text)(value)))
    for name in names:
        if name not in ALL_PART_PROPERTIES and header_property(name) is None:
            raise invalid(f"a part has no property {name[:100]}")
    return names


def _in_memory(places: list[Message]) -> dict[str, object]:
    first = places[0]
    return {
        "id": first.email,
        "blobId": first.blob,
        "threadId": first.thread,
        "mailboxIds": {place.mailbox: True for place in places},
        "keywords": dict.fromkeys(sorted(keywords(places)), True),
        "size": first.size,
        "receivedAt": utc_date(first.received),
    }


def shown_content(octets: bytes, blob: str, wanted: Wanted) -> dict[str, object]:
    """Everything that is *wanted* of a message but what is in memory."""
    message = parse(octets) if wanted.needs_body else None
    header = parse_header(octets) if message is None else message.header
    bodies = Bodies() if message is None else sort_out(message)
    shown: dict[str, object] = {}
    for name in wanted.properties:
        if name in _IN_MEMORY:
            continue
        if message is not None and name in _IN_BODY:
            shown[name] = _body_property(name, message, bodies, blob, wanted)
        else:
            shown[name] = _header_value(name, header)
    return shown


def _header_value(name: str, header: Header) -> object:
    if name == "headers":
        return shown_header(header)
    of_header = _CONVENIENT.get(name) or header_property(name)
    return None if of_header is None else of_header.of(header)


def _body_property(name: str, message: Part, bodies: Bodies, blob: str, wanted: Wanted) -> object:
    lists = {"textBody": bodies.text, "htmlBody": bodies.html, "attachments": bodies.attachments}
    match name:
        case "bodyStructure":
            structure = list(dict.fromkeys([*wanted.part_properties, "subParts"]))
            return shown_part(message, blob, structure)
        case "hasAttachment":
            return bodies.has_attachment
        case "preview":
            return preview(bodies)
        case "bodyValues":
            return _body_values(message, bodies, wanted)
        case _:
            return [shown_part(part, blob, wanted.part_properties) for part in lists[name]]


def _body_values(message: Part, bodies: Bodies, wanted: Wanted) -> dict[str, object]:
    parts: list[Part] = []
    if wanted.everything:
        parts += leaves(message)
    parts += bodies.text if wanted.texts else ()
    parts += bodies.html if wanted.htmls else ()
    values: dict[str, object] = {}
    for part in parts:
        if part.kind == "text" and part.path not in values:
            whole, is_right = text_of(part)
            value, is_cut = cut_text(whole, wanted.max_octets)
            values[part.path] = {
                "value": value,
                "isEncodingProblem": not is_right,
                "isTruncated": is_cut,
            }
    return values
