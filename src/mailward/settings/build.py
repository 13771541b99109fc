"""From flat keys to a configuration, with everything that is wrong found in one go."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from mailward.rules.addresses import AddressError, network_name
from mailward.rules.model import Instant
from mailward.rules.policy import Policy
from mailward.rules.ranges import parse_networks
from mailward.settings.configuration import (
    Configuration,
    DoorLimits,
    LogSettings,
    StoreSettings,
)
from mailward.settings.dialect import Entry, Form
from mailward.settings.doors import read_listeners, read_operator
from mailward.settings.embedded import read_embedded
from mailward.settings.errors import Fault, SettingsError, WrongValueError, is_secret, shown_key
from mailward.settings.key import Effect, Shape
from mailward.settings.opinions import check_opinions
from mailward.settings.places import Place, UnknownKeyError, how_to_list, locate, why_unknown
from mailward.settings.policy import read_policy
from mailward.settings.readers import VALUE_ERRORS
from mailward.settings.reading import Reading, is_ban
from mailward.settings.schema import (
    BLOCKED_NETWORKS,
    HOSTNAME,
    LOGIN_TIMEOUT,
    MAX_ATTEMPTS,
    MAX_WAITING,
    MAX_WAITING_PER_ADDRESS,
)
from mailward.settings.tls import read_certificates
from mailward.settings.upkeepkeys import (
    LOG_FORMAT,
    LOG_LEVEL,
    MANAGEMENT_SOCKET,
    STORE_PATH,
    STORE_TYPE,
)
from mailward.settings.upstreams import read_upstreams

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Built:
    """What came of it: a configuration, or ``None`` if the file has faults.

    Stored keys that are wrong were left out; *stored_faults* tells which. *draft* is what the keys
    that are right make, for looking whether they have faults of another kind.
    """

    configuration: Configuration | None
    file_faults: tuple[Fault, ...]
    stored_faults: tuple[Fault, ...]
    draft: Configuration


@dataclass(frozen=True, slots=True)
class CheckedKey:
    """A key that may be stored: its one spelling, and when it will be felt."""

    key: str
    effect: Effect


EffectiveKey = tuple[str, str, int | None]
"""A key in force, its value, and its line in the file; ``None`` for a stored one.

A plain tuple of texts and numbers: the garbage collector looks at it once and never again, however
many there are.
"""


def build(
    file: Mapping[str, Entry],
    stored: Mapping[str, str],
    now: Instant,
    *,
    name: str | None = None,
    before: Policy | None = None,
) -> Built:
    """Read all keys; *now* is since when the file's bans hold, *name* the file's, for faults.

    Bans that *before* had already stay the same. A stored value wins over that of the file; lists
    are the union of both. Stored bans are no settings: they are passed over here.
    """
    usable = {key: value for key, value in stored.items() if not is_ban(key)}
    stored_faults: dict[Fault, None] = {}
    while True:
        reading = Reading(file, usable, name)
        configuration = _configuration(reading, now, before)
        if not reading.stored_faults:
            break
        # Without the wrong keys the rest may mean something else: read it anew.
        for key, fault in reading.stored_faults.items():
            del usable[key]
            stored_faults.setdefault(fault)
    faults = sorted(set(reading.file_faults), key=_place)
    usable_one = None if faults else configuration
    return Built(usable_one, tuple(faults), tuple(stored_faults), configuration)


def check_key(key: str, value: str) -> CheckedKey:
    """Check one key that an operator wants to store.

    A network is spelled canonically in the answer; one of length /0 is let through, and is for
    the caller to confirm. Whether the key fits the others is seen when all are read.

    Raises:
        SettingsError: with one fault that says what was expected.
    """
    try:
        return _checked(key, value)
    except UnknownKeyError:
        message = why_unknown(key)
    except VALUE_ERRORS as error:
        message = str(error)
    raise SettingsError([Fault(None, None, key, message)])


def effective(
    file: Mapping[str, Entry], stored: Mapping[str, str], spelled: Collection[str] = ()
) -> dict[str, EffectiveKey]:
    """Every key in force by its one spelling, with its value as it can be stored again.

    A secret is not shown. The keys in *spelled* are known to have their one spelling.
    """
    keys = {}
    for key, entry in file.items():
        if entry.form is not Form.EMPTY:
            for known in (key,) if key in spelled else _each_spelled(key):
                keys[known] = _shown(known, entry.value, entry.line)
    for key, value in stored.items():
        known = canonical_key(key)
        keys[known] = _shown(known, value, None)
    return keys


def members(prefix: str, flat: Mapping[str, V]) -> dict[str, V]:
    """What stands below *prefix*, by the rest of its key.

    >>> members("a.b", {"a.b.192.0.2.1": 1, "a.bc": 2})
    {'192.0.2.1': 1}
    """
    table = f"{prefix}."
    return {key[len(table) :]: value for key, value in flat.items() if key.startswith(table)}


def _configuration(reading: Reading, now: Instant, before: Policy | None) -> Configuration:
    upstreams = read_upstreams(reading)
    embedded = read_embedded(reading)
    operator = read_operator(reading)
    certificates = read_certificates(reading)
    doors = read_listeners(reading, upstreams, certificates)
    check_opinions(reading, upstreams, doors.mail, [*doors.passages, *doors.web])
    return Configuration(
        hostname=reading.optional(HOSTNAME),
        policy=read_policy(reading, now, before),
        listeners=doors.mail,
        upstreams=upstreams,
        doors=DoorLimits(
            login_timeout=reading.one(LOGIN_TIMEOUT),
            max_attempts=reading.one(MAX_ATTEMPTS),
            max_waiting=reading.one(MAX_WAITING),
            max_waiting_per_address=reading.one(MAX_WAITING_PER_ADDRESS),
            has_usual_max_waiting=not reading.all(MAX_WAITING),
        ),
        store=StoreSettings(reading.one(STORE_TYPE), reading.one(STORE_PATH)),
        socket=reading.one(MANAGEMENT_SOCKET),
        log=LogSettings(reading.one(LOG_LEVEL), reading.one(LOG_FORMAT)),
        managers=doors.managers,
        passages=doors.passages,
        web=doors.web,
        operator=operator,
        embedded=embedded,
        certificates=certificates,
    )


def _place(fault: Fault) -> tuple[int, str, str]:
    return fault.line or 0, fault.key or "", fault.message


def _checked(key: str, value: str) -> CheckedKey:
    place = locate(key)
    match place.key.shape:
        case Shape.ONE:
            place.key.read(value)
        case Shape.LIST | Shape.MAP if not place.member:
            raise WrongValueError(how_to_list(place))
        case Shape.LIST:
            place.key.read(place.member)
        case Shape.MAP:
            place.key.spell(place.member)
            place.key.read(value)
    return CheckedKey(_spelled_at(key, place), place.key.effect)


def _spelled_at(key: str, place: Place) -> str:
    if not place.member:
        return place.key.stem.replace("<id>", place.id)
    return key[: -len(place.member)] + place.key.spell(place.member)


def canonical_key(key: str) -> str:
    """The one spelling of *key*; what is no key stays as it is.

    >>> canonical_key("backend.dovecot.tls.mode")
    'backend.dovecot.tls'
    """
    try:
        return _spelled_at(key, locate(key))
    except VALUE_ERRORS:
        return key


def _each_spelled(key: str) -> Iterable[str]:
    """*key* in its one spelling; a blocked range is the keys of its networks, as it is banned."""
    stem = f"{BLOCKED_NETWORKS.stem}."
    if not (key.startswith(stem) and "-" in key[len(stem) :]):
        return (canonical_key(key),)
    try:
        return [stem + network_name(one) for one in parse_networks(key[len(stem) :])]
    except AddressError:
        return (key,)


def _shown(key: str, value: str, line: int | None) -> EffectiveKey:
    return shown_key(key), "***" if is_secret(key) else value, line
