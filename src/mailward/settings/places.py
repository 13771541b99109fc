"""From a flat key to its line in the schema; what is no key gets told what might be meant."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass

from mailward.settings.configuration import EMBEDDED
from mailward.settings.errors import WrongValueError
from mailward.settings.key import Key, Shape
from mailward.settings.schema import SCHEMA

MAX_COMPARED = 100  # characters; a longer unknown key is no slip of the finger

_ID = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)
_ID_TABLES = {f"{table}.": table for table in ("server.listener", "backend", "certificate")}
_BELOW_ID_TABLES = tuple(_ID_TABLES)
_BY_STEM = {key.stem: key for key in SCHEMA} | {key.alias: key for key in SCHEMA if key.alias}
_LISTS = {f"{key.stem}.": key for key in SCHEMA if key.shape is not Shape.ONE}
_LIST_STEMS = [key.stem for key in SCHEMA if key.shape is not Shape.ONE]
_WHERE = "every key is in docs/reference/keys.md, those in force in mailward server list-config"
_ELSEWHERE = {
    # Stalwart's, of several of its versions
    "authentication.fail2ban": "server.security.fail2ban",
    "server.fail2ban.authentication": "server.security.fail2ban",
    "server.fail2ban": "server.security.fail2ban",
    "server.auto-ban.auth.rate": "server.security.fail2ban",
    "server.blocked-ip": "server.security.blocked-networks",
    "server.allowed-ip": "server.security.allowed-networks",
    "server.proxy.trusted-ip": "server.proxy.trusted-networks",
    # fail2ban's
    "maxretry": "server.security.fail2ban",
    "findtime": "server.security.fail2ban",
    "bantime": "server.security.ban-period",
    "ignoreip": "server.security.allowed-networks",
}
"""What others call what is a key here."""
_MEMBER_EXAMPLES = {
    "<network>": "192.0.2.0/24",
    "<prefix>": "2001:db8:64::/96",
    "<login>": "jdoe@example.org",
    "<name>": "admin",
    "<domain>": "example.net",
    "<address>": "127.0.0.1:143",
}


class UnknownKeyError(WrongValueError):
    """There is no such key."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a flat key stands: *id* names the listener or backend (empty for other keys),
    *member* the member of a list or map (``None``: the whole list is meant)."""

    key: Key[object]
    id: str = ""
    member: str | None = None


def locate(flat: str) -> Place:
    """Find the schema's line for a flat key.

    >>> place = locate("server.listener.imap.bind.[::1]:143")
    >>> place.key.name, place.id, place.member
    ('bind', 'imap', '[::1]:143')

    Raises:
        UnknownKeyError: there is none.
    """
    pattern, name = _with_id(flat)
    key = _BY_STEM.get(pattern)
    if key is not None:
        return Place(key, name)
    for below, lists in _LISTS.items():
        if pattern.startswith(below):
            return Place(lists, name, pattern[len(below) :])
    raise UnknownKeyError("is no key")


def is_table(flat: str) -> bool:
    """Whether keys can stand below *flat*, and it is none itself."""
    pattern, _ = _with_id(flat)
    return _has_below(pattern) and pattern not in _BY_STEM


def table_id(flat: str) -> tuple[str, str] | None:
    """The table of listeners or backends and the id in it that *flat* belongs to."""
    if not flat.startswith(_BELOW_ID_TABLES):
        return None
    below = next(below for below in _BELOW_ID_TABLES if flat.startswith(below))
    table, name = _ID_TABLES[below], flat[len(below) :].partition(".")[0]
    if (table, name) == ("backend", EMBEDDED):
        return None  # it is no server elsewhere, and has keys of its own
    return (table, name) if _ID.fullmatch(name) else None


def why_unknown(flat: str) -> str:
    """What is wrong with a key that :func:`locate` does not find, and what might be meant.

    >>> why_unknown("server.security.fail2bann")
    'is no key; server.security.fail2ban is the nearest'
    """
    if is_table(flat):
        return "is a table; a key is one of those in it"
    for below, table in _ID_TABLES.items():
        if flat.startswith(below) and table_id(flat) is None:
            return f"an id under {table} has 1 to 64 letters, digits, - or _"
    pattern, name = _with_id(flat)
    for stem, key in _BY_STEM.items():
        is_one = key.shape is Shape.ONE and not _has_below(stem)
        if is_one and pattern.startswith(f"{stem}."):
            return f"{_shown(stem, name)} takes one value, no list or table"
    if len(flat) > MAX_COMPARED:
        return f"is no key; {_WHERE}"
    meant = _meant(flat)
    if meant:
        return f"is no key; {meant} is meant here"
    # On a tie the first in order wins, so that the answer is always the same.
    nearest = difflib.get_close_matches(pattern, _BY_STEM, n=1, cutoff=0.75)
    return f"is no key; {_shown(nearest[0], name) + ' is the nearest' if nearest else _WHERE}"


def _meant(flat: str) -> str:
    """The key that says here what *flat* says in another server's configuration, or half of it.

    >>> _meant("server.blocked-ip.192.0.2.1"), _meant("fail2ban")
    ('server.security.blocked-networks.192.0.2.1', 'server.security.fail2ban')
    """
    for theirs, ours in _ELSEWHERE.items():
        if flat == theirs:
            return ours
        if flat.startswith(f"{theirs}.") and ours in _LIST_STEMS:
            return ours + flat[len(theirs) :]
    for stem in _BY_STEM:
        head = stem[: -len(flat)]
        if "<" not in stem and head.endswith(".") and stem.endswith(flat):
            return stem
    for stem in _LIST_STEMS:
        name = stem.rpartition(".")[2]
        if "<" not in stem and flat.startswith(f"{name}."):
            return stem + flat[len(name) :]
    return ""


def how_to_list(place: Place) -> str:
    """How the members of a list are written, for somebody who gave it one value."""
    key = place.key
    stem = _shown(key.stem, place.id)
    example = _MEMBER_EXAMPLES.get(key.pattern.rpartition(".")[2], "...")
    match key.shape:
        case Shape.ONE | Shape.LIST:
            in_file = f'{{ "{example}" }}'
            at_prompt = f"{stem}.{example}"
        case Shape.MAP:
            in_file = f'{{ "{example}" = "example.org" }}'
            at_prompt = f"{stem}.{example} example.org"
    return f"holds {key.takes}; write {key.name} = {in_file} in the file or add {at_prompt}"


def _with_id(flat: str) -> tuple[str, str]:
    found = table_id(flat)
    if found is None:
        return flat, ""
    table, name = found
    return f"{table}.<id>{flat[len(table) + 1 + len(name) :]}", name


def _has_below(pattern: str) -> bool:
    return any(key.startswith(f"{pattern}.") for key in _BY_STEM)


def _shown(stem: str, name: str) -> str:
    return stem.replace("<id>", name or "ID")
