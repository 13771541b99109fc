"""Identity/get and EmailSubmission (RFC 8621 sections 6 and 7).

What is sent is delivered, or not, before it is answered: so no submission is kept.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from mailward_mailbox.delivery.envelope import (
    Delivered,
    Elsewhere,
    Envelope,
    Here,
    Recipient,
    Refused,
)
from mailward_mailbox.delivery.lines import in_whole_lines
from mailward_mailbox.delivery.trace import MAX_TRACE_OCTETS, Origin
from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.errors import SetError, invalid, unfit
from mailward_mailbox.jmap.limits import MAX_RECIPIENTS
from mailward_mailbox.jmap.methods.changing import apply
from mailward_mailbox.jmap.methods.setting import (
    Changes,
    Object,
    Results,
    check_count,
    create_all,
)
from mailward_mailbox.jmap.methods.standard import Get, get_answer, no_changes
from mailward_mailbox.jmap.values import (
    Arguments,
    WrongValue,
    identifier,
    listed,
    mapped,
    record,
    text,
    utc_date,
)
from mailward_mailbox.mail.model import MAX_MESSAGE_OCTETS, Message
from mailward_mailbox.message.addresses import read_addresses
from mailward_mailbox.message.forms import line_of
from mailward_mailbox.message.header import MAX_HEADER_OCTETS, without_fields
from mailward_mailbox.message.parse import parse_header

MAX_SENT_OCTETS = MAX_MESSAGE_OCTETS - MAX_TRACE_OCTETS
STATE = "0"
"""No submission is kept, so nothing ever changes."""

_IDENTITY = (
    *("id", "name", "email", "replyTo", "bcc", "textSignature", "htmlSignature", "mayDelete"),
)
_SUBMISSION = (
    *("id", "identityId", "emailId", "threadId", "envelope", "sendAt", "undoStatus"),
    *("deliveryStatus", "dsnBlobIds", "mdnBlobIds"),
)
_MINE = "self"
_BLIND = frozenset({"bcc", "resent-bcc"})


async def identity_get(desk: Desk, arguments: Arguments) -> dict[str, object]:
    get = Get.read(arguments, lambda: [_MINE], _IDENTITY.__contains__, _IDENTITY)
    arguments.end()
    mine: dict[str, object] = {
        "id": _MINE,
        "name": "",
        "email": desk.address,
        "replyTo": None,
        "bcc": None,
        "textSignature": "",
        "htmlSignature": "",
        "mayDelete": False,
    }
    found = [{one: mine[one] for one in get.properties} for name in get.ids if name == _MINE]
    return get_answer(desk, found, [name for name in get.ids if name != _MINE]) | {"state": STATE}


async def submission_get(desk: Desk, arguments: Arguments) -> dict[str, object]:
    get = Get.read(arguments, list, _SUBMISSION.__contains__, _SUBMISSION)
    arguments.end()
    return get_answer(desk, [], get.ids) | {"state": STATE}


async def nothing_changes(desk: Desk, arguments: Arguments) -> dict[str, object]:
    """Neither identities nor submissions ever do."""
    return no_changes(desk, arguments, STATE)


async def submission_set(desk: Desk, arguments: Arguments) -> dict[str, object]:
    then_update = arguments.maybe("onSuccessUpdateEmail", mapped(record), {})
    then_destroy = arguments.maybe("onSuccessDestroyEmail", listed(identifier), [])
    changes = Changes.read(desk, arguments)
    arguments.end()
    check_count(len(then_update) + len(then_destroy))
    for name in (*then_update, *then_destroy):
        if not name.startswith("#"):
            raise invalid("no submission is kept: name one that is created here, like #a")
    results = Results(STATE)
    emails: dict[str, str] = {}
    create = partial(_send, desk, emails)
    await create_all(desk, changes.create, create, results.created, results.not_created)
    sent = {f"#{name}": emails[str(made["id"])] for name, made in results.created.items()}
    for name in changes.update:
        results.not_updated[name] = SetError("notFound").answer()
    for name in changes.destroy:
        results.not_destroyed[name] = SetError("notFound").answer()
    if then_update or then_destroy:
        then = Changes(
            {},
            {sent[name]: patch for name, patch in then_update.items() if name in sent},
            [sent[name] for name in then_destroy if name in sent],
        )
        desk.further.append(("Email/set", await apply(desk, then)))
    return results.answer(desk) | {"newState": STATE}


async def _send(desk: Desk, emails: dict[str, str], given: Mapping[str, object]) -> Object:
    """Deliver one email; *emails* is told which one, by the id of the submission."""
    wrong = set(given) - {"identityId", "emailId", "envelope"}
    if given.get("identityId") != _MINE:
        wrong.add("identityId")
    email = given.get("emailId")
    places = desk.places(desk.named(email)) if isinstance(email, str) else []
    if not places:
        wrong.add("emailId")
    if wrong:
        raise unfit(sorted(wrong))
    # Before anybody looks for its author: a field behind a bare CR would be one for others only.
    octets, read = await asyncio.to_thread(_read, await _octets(desk, places[0]))
    envelope = _envelope(desk, given.get("envelope"), read)
    client = desk.client
    protocol = "HTTPS" if client.tls is not None else "HTTP"
    origin = Origin(desk.account.name, client.source[0], "jmap", protocol)
    _, outcome = await desk.delivery.deliver(origin, envelope, octets)
    match outcome:
        case Refused():
            raise SetError("forbiddenToSend" if outcome.is_final else "serverFail", outcome.why)
        case Delivered():
            pass
    name = f"S{secrets.token_hex(12)}"
    emails[name] = places[0].email
    return {
        "id": name,
        "threadId": places[0].thread,
        "sendAt": utc_date(desk.now),
        "undoStatus": "final",
    }


async def _octets(desk: Desk, message: Message) -> bytes:
    if message.size > MAX_SENT_OCTETS:
        raise SetError("tooLarge", more={"maxSize": MAX_SENT_OCTETS})
    octets = await desk.mail.blob(message.blob)
    if octets is None:
        raise unfit(["emailId"])
    return octets


@dataclass(frozen=True, slots=True)
class _Read:
    """What the header of an email says of its envelope."""

    addresses: Mapping[str, Sequence[str]]
    is_ascii: bool

    def of(self, *names: str) -> list[str]:
        return [address for name in names for address in self.addresses[name]]


def _read(octets: bytes) -> tuple[bytes, _Read]:
    """The email as it is sent, and what its header says of the envelope.

    A lone CR or LF ends a line for some and not for others (RFC 5321 section 2.3.8), so it is
    changed first. RFC 8621 section 7.5: no recipient learns of those of Bcc.
    """
    octets = in_whole_lines(octets)
    if len(octets) > MAX_SENT_OCTETS:
        raise SetError("tooLarge", more={"maxSize": MAX_SENT_OCTETS})
    header = parse_header(octets)
    if header.end > MAX_HEADER_OCTETS:  # fields behind that are not seen here
        raise SetError("invalidEmail", f"a header has {MAX_HEADER_OCTETS} octets at most")
    addresses = {
        name: [one.email for raw in header.all(name) for one in read_addresses(line_of(raw))]
        for name in ("from", "sender", "to", "cc", "bcc")
    }
    is_ascii = all(one.value.isascii() for one in header.fields)
    return without_fields(octets, _BLIND), _Read(addresses, is_ascii)


# -- the envelope ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Said:
    """Who sends to whom, as the client says or the header does."""

    sender: str
    recipients: Sequence[str]


def _envelope(desk: Desk, given: object, read: _Read) -> Envelope:
    authors = read.of("from")
    if not 0 < len(authors) <= MAX_RECIPIENTS:
        raise SetError("invalidEmail", "it has no author", {"properties": ["from"]})
    said = _from_header(desk, read) if given is None else _from_client(given)
    if said.sender and not _is_own(desk, said.sender):
        raise SetError("forbiddenMailFrom", "that is not your address")
    if not all(_is_own(desk, address) for address in authors):
        raise SetError("forbiddenFrom", "the email is from somebody else")
    if not said.recipients:
        raise SetError("noRecipients")
    if len(said.recipients) > MAX_RECIPIENTS:
        raise SetError("tooManyRecipients", more={"maxRecipients": MAX_RECIPIENTS})
    found: list[Recipient] = []
    refused: dict[str, str] = {}
    for address in said.recipients:
        match desk.delivery.find(address):
            case Refused(why=why):
                refused[address] = why
            case Here() | Elsewhere() as recipient:
                found.append(recipient)
    if refused:
        why = next(iter(refused.values()))
        raise SetError("invalidRecipients", why, {"invalidRecipients": list(refused)})
    is_ascii = all(address.isascii() for address in (said.sender, *said.recipients))
    return Envelope(said.sender, found, is_utf8=not (is_ascii and read.is_ascii))


def _from_client(given: object) -> _Said:
    try:
        envelope = record(given)
        recipients = [_address(one) for one in listed(record)(envelope.get("rcptTo"))]
        return _Said(_address(record(envelope.get("mailFrom"))), list(dict.fromkeys(recipients)))
    except WrongValue:
        raise unfit(["envelope"]) from None


def _address(given: Mapping[str, object]) -> str:
    address = text(given.get("email"))
    if not address.isprintable() or set(address) & set("<> ") or given.get("parameters"):
        raise WrongValue("an address")
    return address


def _from_header(desk: Desk, read: _Read) -> _Said:
    authors = read.of("sender") or read.of("from")
    sender = authors[0] if authors and _is_own(desk, authors[0]) else desk.address
    recipients = read.of("to", "cc", "bcc")
    wrong = [one for one in recipients if not one.isprintable() or set(one) & set("<> ")]
    if wrong:
        raise SetError("invalidRecipients", more={"invalidRecipients": wrong[:MAX_RECIPIENTS]})
    return _Said(sender, list(dict.fromkeys(recipients)))


def _is_own(desk: Desk, address: str) -> bool:
    found = desk.delivery.directory.find(address)
    return isinstance(found, Here) and found.account.id == desk.account.id
