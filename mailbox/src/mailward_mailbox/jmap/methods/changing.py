"""Email/set and Email/import (RFC 8621 sections 4.6 and 4.8)."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from mailward_mailbox.instant import Instant
from mailward_mailbox.jmap.contents import find_blob
from mailward_mailbox.jmap.desk import Desk, keywords, with_keywords
from mailward_mailbox.jmap.errors import SetError, unfit
from mailward_mailbox.jmap.message.compose import compose
from mailward_mailbox.jmap.methods.setting import (
    Changes,
    Object,
    Results,
    check_count,
    check_state,
    create_all,
    trouble,
)
from mailward_mailbox.jmap.values import (
    Arguments,
    WrongValue,
    chosen,
    keyword,
    mapped,
    moment,
    record,
)
from mailward_mailbox.mail.account import check_flags
from mailward_mailbox.mail.model import (
    MAX_MESSAGE_OCTETS,
    Flags,
    Fresh,
    MailError,
    Message,
    UnfitError,
)

_PATCHED = ("keywords", "mailboxIds")


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a new email stands, and with what flags."""

    mailboxes: list[str]
    flags: Flags
    received: Instant | None

    @classmethod
    def take(cls, desk: Desk, given: dict[str, object]) -> Placement:
        """Take what is about that out of the properties of a new email.

        Raises:
            SetError: it cannot be.
        """
        mailboxes = _mailboxes(desk, given.pop("mailboxIds", None))
        flags = _flags(frozenset(), _keywords(given.pop("keywords", None) or {}))
        received = given.pop("receivedAt", None)
        try:
            return cls(sorted(mailboxes), flags, None if received is None else moment(received))
        except WrongValue:
            raise unfit(["receivedAt"]) from None


async def email_set(desk: Desk, arguments: Arguments) -> dict[str, object]:
    changes = Changes.read(desk, arguments)
    arguments.end()
    return await apply(desk, changes)


async def apply(desk: Desk, changes: Changes) -> dict[str, object]:
    """Make *changes*: many emails take few transactions, each of which is on the disk then."""
    results = Results(desk.state)
    create = partial(_create, desk)
    await create_all(desk, changes.create, create, results.created, results.not_created)
    async with desk.mail.changing:
        await _change(desk, changes, results)
    return results.answer(desk)


async def _change(desk: Desk, changes: Changes, results: Results) -> None:
    """Update, then destroy."""
    batch = _Batch(desk)
    for name, patch in changes.update.items():
        try:
            batch.add(name, _patched(desk, _there(desk, name, changes.destroy), patch))
        except SetError as error:
            results.not_updated[name] = error.answer()
    results.not_updated |= await batch.run()
    results.updated = {name: None for name in changes.update if name not in results.not_updated}
    gone = _Batch(desk)
    for name in changes.destroy:
        try:
            gone.destroy(name, _there(desk, name))
        except SetError as error:
            results.not_destroyed[name] = error.answer()
    results.not_destroyed |= await gone.run()
    results.destroyed = [
        desk.named(name) for name in changes.destroy if name not in results.not_destroyed
    ]


async def email_import(desk: Desk, arguments: Arguments) -> dict[str, object]:
    emails = arguments.one("emails", mapped(record))
    check_state(desk, arguments)
    arguments.end()
    check_count(len(emails))
    results = Results(desk.state)
    await create_all(desk, emails, partial(_import, desk), results.created, results.not_created)
    answer = results.answer(desk)
    told = ("accountId", "oldState", "newState", "created", "notCreated")
    return {name: answer[name] for name in told}


# -- new emails --------------------------------------------------------------------------------


async def _import(desk: Desk, given: dict[str, object]) -> Object:
    left = dict(given)
    placement = Placement.take(desk, left)
    blob = left.pop("blobId", None)
    if left or not isinstance(blob, str):
        raise unfit(list(left) or ["blobId"])
    octets = await find_blob(desk.mail, blob)
    if octets is None:
        raise unfit(["blobId"], "there is no such blob")
    return await _file(desk, octets, placement)


async def _create(desk: Desk, given: dict[str, object]) -> Object:
    left = dict(given)
    placement = Placement.take(desk, left)
    octets = await compose(left, partial(find_blob, desk.mail), desk.address, desk.now)
    return await _file(desk, octets, placement)


async def _file(desk: Desk, octets: bytes, placement: Placement) -> Object:
    if len(octets) > MAX_MESSAGE_OCTETS:
        raise SetError("tooLarge", more={"maxSize": MAX_MESSAGE_OCTETS})
    if not octets.strip():
        raise SetError("invalidEmail", "there is nothing in it")
    first, *others = placement.mailboxes
    message = await desk.mail.append(first, Fresh(octets, placement.flags, placement.received))
    for other in others:
        await desk.mail.copy(first, [message.uid], other)
    return {
        "id": message.email,
        "blobId": message.blob,
        "threadId": message.thread,
        "size": message.size,
    }


# -- changes of emails that are there ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Patched:
    """What an email is to be."""

    places: list[Message]
    keywords: set[str] | None
    mailboxes: set[str] | None


@dataclass(slots=True)
class _Batch:
    """Changes of many emails, put together by what the mailboxes have to do."""

    desk: Desk
    flags: dict[str, dict[int, Flags]] = field(default_factory=dict)
    moves: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    copies: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    removals: dict[str, list[int]] = field(default_factory=dict)
    names: dict[tuple[str, int], str] = field(default_factory=dict)
    """Whose places these are, as the client names it."""

    def add(self, name: str, patched: Patched) -> None:
        """Raises:
        SetError: some of it cannot be.
        """
        places = patched.places
        if patched.keywords is not None:
            changed = [(place, _flags(place.flags, patched.keywords)) for place in places]
            for place, flags in changed:
                if flags != place.flags:
                    self.flags.setdefault(place.mailbox, {})[place.uid] = flags
        self._own(name, places)
        if patched.mailboxes is None:
            return
        gone = [place for place in places if place.mailbox not in patched.mailboxes]
        new = sorted(patched.mailboxes - {place.mailbox for place in places})
        if new and len(gone) == 1:
            self.moves.setdefault((gone[0].mailbox, new.pop()), []).append(gone.pop().uid)
        source = next((place for place in places if place.mailbox in patched.mailboxes), places[0])
        for mailbox in new:
            self.copies.setdefault((source.mailbox, mailbox), []).append(source.uid)
        self._remove(gone)

    def destroy(self, name: str, places: Iterable[Message]) -> None:
        everywhere = self.desk.mail.emails[next(iter(places)).email].values()
        self._own(name, everywhere)
        self._remove(everywhere)

    async def run(self) -> dict[str, Object]:
        """Do it all; what was not done, by the names that clients have for it."""
        mail, failed = self.desk.mail, dict[str, Object]()
        for mailbox, flags in self.flags.items():
            await self._try(mail.set_flags(mailbox, flags), mailbox, flags, failed)
        for (source, mailbox), uids in self.copies.items():
            await self._try(mail.copy(source, uids, mailbox), source, uids, failed)
        for (source, mailbox), uids in self.moves.items():
            moving = mail.copy(source, uids, mailbox, move=True)
            await self._try(moving, source, uids, failed)
        for mailbox, uids in self.removals.items():
            # What could not be put elsewhere stays where it is.
            safe = [uid for uid in uids if self.names[mailbox, uid] not in failed]
            await self._try(mail.destroy(mailbox, safe), mailbox, safe, failed)
        return failed

    def _own(self, name: str, places: Iterable[Message]) -> None:
        self.names |= {(place.mailbox, place.uid): name for place in places}

    def _remove(self, places: Iterable[Message]) -> None:
        for place in places:
            self.removals.setdefault(place.mailbox, []).append(place.uid)

    async def _try(
        self,
        doing: Awaitable[object],
        mailbox: str,
        uids: Iterable[int],
        failed: dict[str, Object],
    ) -> None:
        try:
            await doing
        except MailError as error:
            failed |= {self.names[mailbox, uid]: trouble(error).answer() for uid in uids}


def _there(desk: Desk, name: str, destroyed: Sequence[str] = ()) -> list[Message]:
    if name in destroyed:
        raise SetError("willDestroy")
    places = desk.places(desk.named(name))
    if not places:
        raise SetError("notFound")
    return places


def _patched(desk: Desk, places: list[Message], patch: Mapping[str, object]) -> Patched:
    """What becomes of the email at *places* (RFC 8620 section 5.3: PatchObject)."""
    wanted = {
        "keywords": dict.fromkeys(keywords(places), True),
        "mailboxIds": dict.fromkeys((place.mailbox for place in places), True),
    }
    changed: set[str] = set()
    for path, value in patch.items():
        name, slash, member = path.partition("/")
        if name not in _PATCHED:
            raise unfit([path], "of an email only keywords and mailboxIds change")
        if slash and name in patch:
            raise SetError("invalidPatch", f"{name} and a part of it")
        changed.add(name)
        if not slash:
            wanted[name] = _members(name, value)
            continue
        member = member.replace("~1", "/").replace("~0", "~")
        member = desk.named(member) if name == "mailboxIds" else member.lower()
        match value:
            case True:
                wanted[name][member] = True
            case None:
                wanted[name].pop(member, None)
            case _:
                raise unfit([path], "it is true or null")
    return Patched(
        places,
        _keywords(wanted["keywords"]) if "keywords" in changed else None,
        _mailboxes(desk, wanted["mailboxIds"]) if "mailboxIds" in changed else None,
    )


def _members(name: str, value: object) -> dict[str, bool]:
    try:
        return chosen(value if value is not None or name != "keywords" else {})
    except WrongValue as error:
        raise unfit([name], f"it is not {error}") from None


def _keywords(value: object) -> set[str]:
    try:
        return {keyword(name) for name in _members("keywords", value)}
    except WrongValue as error:
        raise unfit(["keywords"], f"there is one that is not {error}") from None


def _flags(flags: Flags, wanted: set[str]) -> Flags:
    """*flags* changed so that they say what is *wanted*."""
    changed = with_keywords(flags, wanted)
    try:
        check_flags(changed)
    except UnfitError as error:
        raise SetError("tooManyKeywords", str(error)) from None
    return changed


def _mailboxes(desk: Desk, value: object) -> set[str]:
    names = {desk.named(name) for name in _members("mailboxIds", value)}
    if not names or any(name not in desk.mail.by_id for name in names):
        raise unfit(["mailboxIds"], "an email is in one mailbox at least, each of which is there")
    return names
