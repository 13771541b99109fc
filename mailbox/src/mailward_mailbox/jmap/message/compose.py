"""Makes a message of the properties of a draft (RFC 8621 section 4.6)."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime

from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.errors import SetError, unfit
from mailward_mailbox.jmap.message.written import (
    Entity,
    address_words,
    header_field,
    message,
    multipart,
    octets_entity,
    parameter,
    text_entity,
    text_words,
)
from mailward_mailbox.jmap.values import WrongValue, listed, mapped, record, text
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS

MAX_PARTS = 100
MAX_ADDRESS_CHARS = 320
MAX_LINE_CHARS = 1_000
"""Of a subject, a name, a type."""
MAX_HEADER_OCTETS = 131_072

Blob = Callable[[str], Awaitable[bytes | None]]

_ADDRESSES = {
    "sender": "Sender",
    "from": "From",
    "replyTo": "Reply-To",
    "to": "To",
    "cc": "Cc",
    "bcc": "Bcc",
}
_IDS = {"messageId": "Message-ID", "inReplyTo": "In-Reply-To", "references": "References"}
_BODIES = (("textBody", "plain"), ("htmlBody", "html"))
_EMAIL = re.compile(
    r"""(?:[!#-'*+\-./0-9=?A-Z^-~]+|"(?:[^"\\]|\\.)*+")@(?:[A-Za-z0-9_.-]+|\[[^\[\]\\]+\])"""
)
_CID = re.compile(r"[!-;=?-~]{1,320}")
_TYPE = re.compile(r"(?!multipart/|message/)[\w!#$&^.+-]{1,100}/[\w!#$&^.+-]{1,100}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along."""

    octets: bytes = field(repr=False)
    type: str
    name: str | None
    disposition: str
    cid: str | None


async def compose(given: dict[str, object], blob: Blob, address: str, now: Instant) -> bytes:
    """The message. *blob* finds what is attached; *address* is its author's.

    Raises:
        SetError: a property cannot be, or is none that is known here.
    """
    left = dict(given)
    header = _header(left, address, now)
    texts = [
        (kind, body) for name, kind in _BODIES if (body := _body(left, name, kind)) is not None
    ]
    attachments = await _attachments(left.pop("attachments", None), blob)
    left.pop("bodyValues", None)
    if left:
        raise unfit(left, "a new email cannot have these")
    if sum(map(len, header)) > MAX_HEADER_OCTETS:
        raise unfit(_ADDRESSES, f"a header has {MAX_HEADER_OCTETS} octets at most")
    return await asyncio.to_thread(_written, header, texts, attachments)


def _written(
    header: Sequence[bytes], texts: Sequence[tuple[str, str]], attachments: Sequence[Attachment]
) -> bytes:
    bodies = [text_entity(kind, body) for kind, body in texts or [("plain", "")]]
    shown = bodies[0] if len(bodies) == 1 else multipart("alternative", bodies)
    if attachments:
        shown = multipart("mixed", [shown, *map(_entity, attachments)])
    return message(header, shown)


def _header(left: dict[str, object], address: str, now: Instant) -> list[bytes]:
    header: list[bytes] = []
    wrong = []
    for name, known in (*_ADDRESSES.items(), *_IDS.items(), ("subject", "Subject")):
        value = left.pop(name, None)
        if value is None:
            continue
        try:
            header.append(header_field(known, _words(name, value)))
        except WrongValue:
            wrong.append(name)
    try:
        header.append(header_field("Date", [_date(left.pop("sentAt", None), now)]))
    except (WrongValue, ValueError, OverflowError):
        wrong.append("sentAt")
    if wrong:
        raise unfit(wrong)
    if not any(line.startswith(b"Message-ID:") for line in header):
        domain = address.rpartition("@")[2] or "localhost"
        header.append(header_field("Message-ID", [f"<{secrets.token_hex(16)}@{domain}>"]))
    return header


def _words(name: str, value: object) -> Iterator[str]:
    if name == "subject":
        yield from text_words(_line(value))
    elif name in _IDS:
        for one in listed(text)(value):
            is_id = one.isascii() and one.isprintable() and not set(one) & set(" <>")
            if not is_id or len(one) > MAX_ADDRESS_CHARS:
                raise WrongValue("a list of message ids")
            yield f"<{one}>"
    else:
        addresses = [_address(one) for one in listed(record)(value)]
        emails = _ended([words[-1] for words in addresses], ",")
        for words, email in zip(addresses, emails, strict=True):
            yield from (*words[:-1], email)


def _address(given: Mapping[str, object]) -> list[str]:
    name, email = given.get("name"), text(given.get("email"))
    if len(email) > MAX_ADDRESS_CHARS or not (email.isascii() and email.isprintable()):
        raise WrongValue("an address that every mail server can read")
    if not _EMAIL.fullmatch(email):
        raise WrongValue("an address")
    return address_words("" if name is None else _line(name), email)


def _line(value: object) -> str:
    line = text(value)
    if not line.isprintable() or len(line) > MAX_LINE_CHARS:
        raise WrongValue(f"one line of {MAX_LINE_CHARS} characters at most")
    return line


def _date(value: object, now: Instant) -> str:
    if value is None:
        return format_datetime(datetime.fromtimestamp(int(now), UTC))
    date = datetime.fromisoformat(text(value))
    return format_datetime(date if date.tzinfo is not None else date.replace(tzinfo=UTC))


def _body(left: dict[str, object], name: str, kind: str) -> str | None:
    """What stands in ``bodyValues`` for the one part of *name*."""
    given = left.pop(name, None)
    if given is None:
        return None
    try:
        (part,) = listed(record)(given)
        value = mapped(record)(left.get("bodyValues") or {})[text(part.get("partId"))]
        body = text(value.get("value"))
    except (WrongValue, ValueError, KeyError):
        raise unfit([name, "bodyValues"]) from None
    is_whole = not (value.get("isTruncated") or value.get("isEncodingProblem"))
    if part.get("type", f"text/{kind}") != f"text/{kind}" or not is_whole:
        raise unfit([name], f"it is one part that is text/{kind}, and whole")
    return body.replace("\r\n", "\n")


async def _attachments(given: object, blob: Blob) -> list[Attachment]:
    if given is None:
        return []
    try:
        parts = listed(record)(given)
        found, missing, left = [], [], MAX_MESSAGE_OCTETS
        for part in parts[: MAX_PARTS + 1]:
            name = text(part.get("blobId"))
            octets = await blob(name)
            if octets is None:
                missing.append(name)
            else:
                left -= len(octets)
                if left < 0:  # now: a hundred of the longest would all be in memory
                    raise SetError("tooLarge", more={"maxSize": MAX_MESSAGE_OCTETS})
                found.append(_attachment(part, octets))
    except WrongValue:
        raise unfit(["attachments"]) from None
    if missing:
        raise SetError("blobNotFound", more={"notFound": missing})
    if len(parts) > MAX_PARTS:
        raise unfit(["attachments"], f"{MAX_PARTS} at most")
    return found


def _attachment(part: Mapping[str, object], octets: bytes) -> Attachment:
    name, cid = part.get("name"), part.get("cid")
    disposition = _line(part.get("disposition") or "attachment")
    if disposition not in {"attachment", "inline"}:
        raise WrongValue("attachment or inline")
    if cid is not None and not _CID.fullmatch(text(cid)):
        raise WrongValue("a content id")
    return Attachment(
        octets,
        _line(part.get("type") or "application/octet-stream"),
        None if name is None else _line(name),
        disposition,
        None if cid is None else text(cid),
    )


def _entity(attachment: Attachment) -> Entity:
    # A message or a multipart goes as octets, or it would have to be one.
    fit = _TYPE.fullmatch(attachment.type)
    kind = attachment.type if fit else "application/octet-stream"
    disposition = [attachment.disposition]
    if attachment.name is not None:
        disposition += parameter("filename", attachment.name)
    fields = [
        header_field("Content-Type", [kind]),
        header_field("Content-Disposition", _ended(disposition, ";")),
    ]
    if attachment.cid is not None:
        fields.append(header_field("Content-ID", [f"<{attachment.cid}>"]))
    return octets_entity(fields, attachment.octets)


def _ended(words: Sequence[str], mark: str) -> list[str]:
    """The words with a *mark* behind all of them but the last."""
    return [*(one + mark for one in words[:-1]), *words[-1:]]
