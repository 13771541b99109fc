"""Makes a message of the properties of a draft (RFC 8621 section 4.6)."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.errors import SetError, unfit
from mailward_mailbox.jmap.values import WrongValue, listed, mapped, record, text
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS

MAX_PARTS = 100

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


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file that goes along."""

    octets: bytes
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
    message = EmailMessage(policy=SMTP)
    _write_header(message, left, address, now)
    texts = {kind: body for name, kind in _BODIES if (body := _body(left, name, kind)) is not None}
    attachments = await _attachments(left.pop("attachments", None), blob)
    left.pop("bodyValues", None)
    if left:
        raise unfit(left, "a new email cannot have these")
    for kind, body in texts.items():
        if message.get_content_maintype() == "text" and "content-type" in message:
            message.add_alternative(body, subtype=kind)
        else:
            message.set_content(body, subtype=kind)
    if not texts:
        message.set_content("")
    for attachment in attachments:
        _attach(message, attachment)
    return message.as_bytes()


def _write_header(
    message: EmailMessage, left: dict[str, object], address: str, now: Instant
) -> None:
    wrong = []
    for name, known in (*_ADDRESSES.items(), *_IDS.items(), ("subject", "Subject")):
        value = left.pop(name, None)
        if value is None:
            continue
        try:
            message[known] = _written(name, value)
        except (WrongValue, ValueError, IndexError, TypeError):  # of the email package, the others
            wrong.append(name)
    try:
        message["Date"] = _date(left.pop("sentAt", None), now)
    except (WrongValue, ValueError, OverflowError):
        wrong.append("sentAt")
    if wrong:
        raise unfit(wrong)
    if "Message-ID" not in message:
        domain = address.rpartition("@")[2] or "localhost"
        message["Message-ID"] = f"<{secrets.token_hex(16)}@{domain}>"


def _written(name: str, value: object) -> object:
    if name == "subject":
        return _line(text(value))
    if name in _IDS:
        ids = listed(text)(value)
        if not all(
            one.isascii() and one.isprintable() and not set(one) & set(" <>") for one in ids
        ):
            raise WrongValue("a list of message ids")
        return " ".join(f"<{one}>" for one in ids)
    return tuple(_address(one) for one in listed(record)(value))


def _address(given: Mapping[str, object]) -> Address:
    name, email = given.get("name"), text(given.get("email"))
    if not email.isascii():
        raise WrongValue("an address that every mail server can read")
    return Address("" if name is None else _line(text(name)), addr_spec=_line(email))


def _line(value: str) -> str:
    if not value.isprintable():
        raise WrongValue("one line")
    return value


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
    disposition = _line(text(part.get("disposition") or "attachment"))
    if disposition not in {"attachment", "inline"}:
        raise WrongValue("attachment or inline")
    return Attachment(
        octets,
        _line(text(part.get("type") or "application/octet-stream")),
        None if name is None else _line(text(name)),
        disposition,
        None if cid is None else _line(text(cid)),
    )


def _attach(message: EmailMessage, attachment: Attachment) -> None:
    main, _, sub = attachment.type.partition("/")
    if main in {"", "multipart", "message"} or not sub:
        main, sub = "application", "octet-stream"  # as octets, or it would have to be parsed
    try:
        message.add_attachment(
            attachment.octets,
            maintype=main,
            subtype=sub,
            filename=attachment.name,
            disposition=attachment.disposition,
            cid=None if attachment.cid is None else f"<{attachment.cid}>",
        )
    except ValueError:
        raise unfit(["attachments"]) from None
