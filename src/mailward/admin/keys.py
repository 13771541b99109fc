"""The keys an operator adds, deletes and lists while the daemon runs; and reloading them.

A ban is a key, too: what stands in the block lists here is what the guard has banned.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import NoReturn

from mailward.admin.foresight import Lacking, refusals, warning
from mailward.admin.loaded import Anew, Loaded, read_anew
from mailward.admin.names import (
    ALLOWED_NETWORKS,
    ban_key,
    blocked_member,
    find_subjects,
    read_subjects,
)
from mailward.admin.views import counted, listed, until_text
from mailward.admin.wishes import (
    Complaint,
    Done,
    Refusal,
    RefusedError,
    check_everybody,
    check_note,
    check_subject,
    done,
)
from mailward.guard import operations
from mailward.guard.bites import keeping_all, let_go, sorted_in_bites
from mailward.guard.journal import Event
from mailward.guard.operations import AllowedError
from mailward.guard.service import Guard
from mailward.rules.addresses import parse_network
from mailward.rules.model import Ban, Instant, SubjectKind
from mailward.rules.subjects import SubjectError, spelled
from mailward.settings.build import EffectiveKey, canonical_key, check_key
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import Entry
from mailward.settings.errors import Fault, SettingsError
from mailward.settings.key import Effect
from mailward.settings.places import UnknownKeyError, locate
from mailward.stores.port import SettingDeleted, SettingPut

MAX_KEY_CHARACTERS = 1_100  # the longest table, and a name that is as long as a subject may be


@dataclass(frozen=True, slots=True)
class Source:
    """The configuration file *name* (``None``: there is none), and how to use what it says.

    The calls raise ``SettingsError``: the file cannot be read (that is done in a thread); what it
    says cannot be applied; a certificate cannot be used. The last one says how many certificates
    there are.
    """

    name: str | None
    read: Callable[[], dict[str, Entry]]
    apply: Callable[[Configuration], Awaitable[None]]
    reload_certificates: Callable[[], Awaitable[int]]
    lacking: Lacking = lambda _: ()
    """What a configuration refers to and is not there; asked in a thread, as for the file."""


@dataclass(frozen=True, slots=True)
class Listed:
    """A key in force. *origin* is ``store``, or the file and line where it stands."""

    key: str
    value: str
    origin: str


class Keys:
    """The settings of *guard*: *anew* as the file was last read, and the *stored* ones.

    Changes come one after the other: no two can mix.
    """

    def __init__(
        self,
        guard: Guard,
        clock: Callable[[], Instant],
        source: Source,
        anew: Anew,
        stored: Mapping[str, str],
    ) -> None:
        self._guard = guard
        self._clock = clock
        self._source = source
        self._changing = asyncio.Lock()
        self.loaded = Loaded(source.name, dict(stored))
        self.loaded.take(anew)

    # -- adding ----------------------------------------------------------------------------------

    async def add(self, key: str, value: str = "", *, yes: bool = False) -> Done:
        """Store one key, or ban the member of a block list that it names.

        Raises:
            RefusedError: it is wrong; nothing has changed.
        """
        if len(key) > MAX_KEY_CHARACTERS:
            most = f"a key has {MAX_KEY_CHARACTERS:,} characters at most"
            raise RefusedError(Refusal.WRONG, f"{key[:40]}... is too long: {most}")
        try:
            checked = check_key(key, value)
        except SettingsError as error:
            raise RefusedError(Refusal.WRONG, str(error)) from None
        async with self._changing:
            member = blocked_member(checked.key)
            if member is not None:
                return await self._ban(key, *member, value, yes=yes)
            if checked.key.startswith(ALLOWED_NETWORKS):
                return await self._allow(key, checked.key, value, yes=yes)
            match checked.effect:
                case Effect.RESTART:
                    raise RefusedError(
                        Refusal.CONFLICT,
                        f"{checked.key} is needed before the store is opened: "
                        "set it in the configuration file and start mailward anew",
                    )
                case Effect.RELOAD | Effect.NOW:
                    self._put(checked.key, value)
                    self.loaded.pending[checked.key] = None
            foreseen = await self._foreseen(checked.key)
            return await self._added(key, checked.key, checked.effect, foreseen)

    async def _ban(self, typed: str, kind: SubjectKind, name: str, note: str, *, yes: bool) -> Done:
        check_note(note)
        try:
            subjects = read_subjects(name, self._guard.policy, kind)
            for subject in subjects:
                check_subject(subject, yes=yes)
                operations.check_bannable(self._guard, subject)
        except SubjectError as error:
            raise RefusedError(Refusal.WRONG, f"{typed}: {error}") from None
        except AllowedError as error:
            raise RefusedError(Refusal.CONFLICT, str(error)) from None
        await operations.ban_all(self._guard, subjects, None, note, self._clock())
        return await self._added(typed, listed(map(ban_key, subjects)), Effect.NOW)

    async def _allow(self, typed: str, key: str, note: str, *, yes: bool) -> Done:
        check_note(note)
        check_everybody(parse_network(key.removeprefix(ALLOWED_NETWORKS)), yes=yes)
        self._put(key, note)
        self._adopt_allowed(f"{key} added")
        return await self._added(typed, key, Effect.NOW)

    def _put(self, key: str, value: str) -> None:
        self.loaded.stored[key] = value
        self._guard.writer.note(SettingPut(key, value), self._clock())

    async def _added(self, typed: str, key: str, effect: Effect, foreseen: str = "") -> Done:
        spelling = "" if typed == key else f" (as {key})"
        told = f"Successfully added key {typed}.{spelling} It is {effect.value}.{foreseen}"
        return await self._done(told)

    async def _foreseen(self, key: str) -> str:
        """A warning if a reload would be refused as things stand, *key* having been changed."""
        now, source = self._clock(), self._source
        faults = await asyncio.to_thread(refusals, self.loaded, source.read, source.lacking, now)
        return warning(faults, key)

    # -- deleting --------------------------------------------------------------------------------

    async def delete(self, key: str) -> Done:
        """Delete one key, or with a dot at the end all below it; a ban behind a key is lifted.

        Raises:
            RefusedError: there was no such key, or it is still in force afterwards.
        """
        async with self._changing:
            if key.endswith(".") and not _is_member(key):
                return await self._delete_table(key)
            member = blocked_member(key)
            if member is not None:
                return await self._lift(key, *member)
            return await self._delete_one(key)

    async def _delete_one(self, key: str) -> Done:
        known = key if key in self.loaded.stored else canonical_key(key)
        place = self.loaded.place(known)
        in_file = self.loaded.stands_in_file(known)
        if known not in self.loaded.stored:
            if in_file:
                raise RefusedError(Refusal.CONFLICT, _in_file(f"{key} stands in {place}"))
            raise _absent(key)
        self._forget([known])
        is_now = known.startswith(ALLOWED_NETWORKS)
        foreseen = "" if is_now else await self._foreseen(known)
        answer = await self._deleted(key, now=is_now, more=foreseen)
        if in_file:
            raise RefusedError(
                Refusal.CONFLICT,
                _in_file(f"the stored value of {key} is deleted, but it stands in {place}, too"),
            )
        return answer

    async def _lift(self, key: str, kind: SubjectKind, name: str) -> Done:
        now = self._clock()
        try:
            subjects = find_subjects(name, self._guard, kind)
        except SubjectError as error:
            raise RefusedError(Refusal.WRONG, f"{key}: {error}") from None
        liftable = [one for one in subjects if operations.liftable(self._guard, one, now)]
        if not liftable:
            covering = self._guard.mirror.covering(subjects[0], now)
            if covering is None:
                raise _absent(key)
            raise RefusedError(Refusal.CONFLICT, self._still("nothing was deleted", covering))
        lifted = await operations.lift_each(self._guard, liftable, now)
        gone = listed(spelled(ban.subject) for one in lifted for ban in one.bans)
        still = next((one.still for one in lifted if one.still is not None), None)
        if still is not None:
            raise RefusedError(Refusal.CONFLICT, self._still(f"the ban on {gone} is lifted", still))
        return await self._deleted(
            key, now=True, more="" if gone == spelled(subjects[0]) else f" The ban was on {gone}."
        )

    def _still(self, what: str, ban: Ban) -> str:
        """*what* was done, and what *ban* still does."""
        name = spelled(ban.subject)
        if self._guard.mirror.is_fixed(ban.subject):
            place = self.loaded.place(ban_key(ban.subject))
            return _in_file(f"{what}, for {name} is blocked in {place}")
        return f"{what}, for {name} is still blocked {until_text(ban.until)}: lift that, too"

    async def _delete_table(self, table: str) -> Done:
        now = self._clock()
        keys = [key for key in self.loaded.stored if key.startswith(table)]
        bans = [
            ban.subject
            for ban in self._guard.mirror.kept()
            if ban.covers(now) and ban_key(ban.subject).startswith(table)
        ]
        in_file = self.loaded.in_file(table)
        if not keys and not bans and not in_file:
            raise _absent(table)
        self._forget(keys)
        self._guard.release(bans, now)
        is_now = all(key.startswith(ALLOWED_NETWORKS) for key in keys)
        foreseen = "" if is_now else await self._foreseen(table)
        answer = await self._deleted(table, now=is_now, more=foreseen)
        if in_file:
            raise RefusedError(
                Refusal.CONFLICT,
                _in_file(
                    f"{len(keys) + len(bans)} stored keys below {table} are deleted, "
                    f"but {len(in_file)} stand in {self.loaded.name}"
                ),
            )
        return answer

    def _forget(self, keys: Sequence[str]) -> None:
        for key in keys:
            del self.loaded.stored[key]
            self._guard.writer.note(SettingDeleted(key), self._clock())
            if not key.startswith(ALLOWED_NETWORKS):
                self.loaded.pending[key] = None
        allowed = [key for key in keys if key.startswith(ALLOWED_NETWORKS)]
        if allowed:
            self._adopt_allowed(f"{listed(allowed)} deleted")

    async def _deleted(self, typed: str, *, now: bool, more: str = "") -> Done:
        effect = Effect.NOW if now else Effect.RELOAD
        return await self._done(f"Successfully deleted key {typed}.{more} That is {effect.value}.")

    # -- listing and reloading -------------------------------------------------------------------

    async def listed(self, prefix: str = "") -> Iterator[Listed]:
        """The keys in force that begin with *prefix*, sorted: the file's, stored ones and bans."""
        # The bans of the file stand there already.
        kept = await operations.kept_bans(self._guard, self._clock())
        known: list[EffectiveKey | Ban] = [*self.loaded.effective(), *kept]
        wanted = (one for one in known if _key(one).startswith(prefix))
        # Of two with the same key the one in force comes last, here and behind the sorting.
        each = groupby(await sorted_in_bites(wanted, key=_key), key=_key)
        return (self._listed(key, last) for key, same in each for last in deque(same, maxlen=1))

    def _listed(self, key: str, known: EffectiveKey | Ban) -> Listed:
        match known:
            case Ban():
                return Listed(key, known.note, "store")
            case (_, value, _):
                return Listed(key, value, self.loaded.origin(known))

    async def reload(self) -> Done:
        """Read everything anew and use it as a whole, or change nothing.

        It is read in a thread: connections have their turns meanwhile.

        Raises:
            RefusedError: with a complaint for each fault.
        """
        async with self._changing:
            with keeping_all():
                anew, configuration = await self._take_anew()
                now = self._clock()
                self._guard.journal.write(Event.CONFIG_RELOADED, now, count=len(anew.keys))
                before = self.loaded.configuration
                late = [] if before is None else _for_the_next_start(before, configuration)
                del before
                await let_go(self.loaded.take(anew))
            if not late:
                return await self._done("Success. The configuration is in force.")
            return await self._done(
                f"Success. The configuration is in force, but {listed(late)} at the next start."
            )

    async def reload_certificates(self) -> Done:
        """Read every certificate anew, for the next handshakes; no connection ends.

        Raises:
            RefusedError: one cannot be used; all stay as they were.
        """
        async with self._changing:
            try:
                read = await self._source.reload_certificates()
            except SettingsError as error:
                raise RefusedError(
                    Refusal.WRONG,
                    "a certificate cannot be used; all that were in use still are",
                    _complaints(error.faults),
                ) from None
        if not read:
            return await self._done("There are no certificates to reload.")
        return await self._done(f"Success. {counted(read, 'certificate')} read anew.")

    async def _take_anew(self) -> tuple[Anew, Configuration]:
        try:
            anew, configuration = await asyncio.to_thread(self._read_anew, self._clock())
            await self._source.apply(configuration)
        except SettingsError as error:
            self._reject(error.faults)
        return anew, configuration

    def _read_anew(self, now: Instant) -> tuple[Anew, Configuration]:
        entries = self._source.read()
        built = self.loaded.build(entries, now)
        faults = (*built.file_faults, *built.stored_faults)
        if built.configuration is None or faults:
            raise SettingsError(faults)
        anew = read_anew(entries, built)
        for key in list(entries):  # whoever frees all of them at once keeps everybody waiting
            del entries[key]
        return anew, built.configuration

    def _reject(self, faults: Sequence[Fault]) -> NoReturn:
        self._guard.journal.write(
            Event.CONFIG_REJECTED, self._clock(), reason=str(faults[0]), count=len(faults)
        )
        raise RefusedError(
            Refusal.WRONG,
            "the configuration is wrong and was not loaded; what was in force still is",
            _complaints(faults),
        )

    # -- inside ----------------------------------------------------------------------------------

    def _adopt_allowed(self, what: str) -> None:
        now = self._clock()
        self._guard.adopt(replace(self._guard.policy, allowed=self.loaded.allowed()), now)
        self._guard.journal.write(Event.CONFIG_RELOADED, now, reason=what)

    async def _done(self, message: str) -> Done:
        return done(message, stored=await self._guard.writer.written())


def _key(known: EffectiveKey | Ban) -> str:
    return ban_key(known.subject) if isinstance(known, Ban) else known[0]


def _is_member(key: str) -> bool:
    """Whether *key* names a member of a list: then a dot at its end belongs to the name."""
    try:
        return bool(locate(key).member)
    except UnknownKeyError:
        return False


def _absent(key: str) -> RefusedError:
    if not key.endswith(".") and not _is_member(key):
        return RefusedError(
            Refusal.ABSENT,
            f"there was no key {key}; a dot at its end would delete all keys below it",
        )
    return RefusedError(Refusal.ABSENT, f"there was no key {key}; see server list-config")


def _in_file(what: str) -> str:
    return f"{what}: delete it there, then run server reload-config"


def _complaints(faults: Sequence[Fault]) -> list[Complaint]:
    return [Complaint(str(fault)) for fault in faults]


def _for_the_next_start(before: Configuration, after: Configuration) -> list[str]:
    """The keys that differ, but cannot change while the daemon runs."""
    changes = {
        "store.type": before.store.type is not after.store.type,
        "store.path": before.store.path != after.store.path,
        "management.socket": before.socket != after.socket,
    }
    return [key for key, changed in changes.items() if changed]
