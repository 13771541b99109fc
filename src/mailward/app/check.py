"""All that keeps a daemon from starting, found before it starts; nothing is made or changed.

``serve --check`` tells it, and ``serve`` begins with it: both say the same words.
"""

from __future__ import annotations

import errno
import os
import pwd
import socket
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path

from mailward.app.certificates import load_certificates
from mailward.app.cli.client import Daemon
from mailward.app.cli.failures import FailedError
from mailward.app.cli.places import SocketPath
from mailward.app.neighbours import is_here
from mailward.app.premises import check_premises, is_answered
from mailward.app.tokenkey import check_token_key
from mailward.app.upstreams import placed_upstreams
from mailward.backends.tls import check_trust
from mailward.edges.listener import BindError, check_bind
from mailward.rules.model import Instant
from mailward.settings.build import Built, build
from mailward.settings.configuration import (
    EMBEDDED,
    Bind,
    Configuration,
    Protocol,
    StoreType,
    Web,
)
from mailward.settings.dialect import Entry
from mailward.settings.embedded import embedded_upstream
from mailward.settings.embeddedkeys import EMBEDDED_PATH
from mailward.settings.errors import STORED, Fault, SettingsError
from mailward.settings.loops import hosts_of, meets, why_loop, why_our_socket
from mailward.settings.readers import why_no_socket_path
from mailward.settings.upkeepkeys import MANAGEMENT_SOCKET, STORE_PATH
from mailward.stores.inspection import stored_settings
from mailward.stores.lock import holder, why_held
from mailward.stores.port import StoreError, UnusableStoreError

MAILBOX_PACKAGE = "mailward_mailbox"
_NOT_INSTALLED = (
    f'backend = "embedded" needs {MAILBOX_PACKAGE}, which is not installed: install'
    " mailward[embedded], or give the listener another backend"
)
LOOK_UP_SECONDS = 2.0  # a resolver that is silent must not hold up a start for long


@dataclass(frozen=True, slots=True)
class Source:
    """Where a configuration comes from: the keys of the file *name*, and what is kept in *data*."""

    entries: Mapping[str, Entry]
    name: str | None
    data: Path


@dataclass(frozen=True, slots=True)
class Checked:
    """What was *built*, and what is wrong beyond that.

    *lasting* faults stay until an operator mends them; *passing* ones may be gone at the next try.
    *stored* are the settings of the store that went into it; where that store is, and where
    operators' socket, the *file* alone says.
    """

    file: Configuration
    built: Built
    stored: Mapping[str, str]
    lasting: tuple[Fault, ...]
    passing: tuple[Fault, ...]


def check_files(source: Source, now: Instant, *, is_told: bool) -> Checked:
    """Everything but ports that is wrong with *source*, on this machine and at this moment.

    *is_told* says that the log is to tell of certificates which are used though they have expired.
    """
    lasting: list[Fault] = []
    passing: list[Fault] = []
    alone = build(source.entries, {}, now, name=source.name)
    draft = alone.draft
    stored: Mapping[str, str] = {}
    why_no_premises = list(check_premises(source.data, draft.socket))
    lasting += (_premises_fault(why) for why in why_no_premises)
    path = source.data / draft.store.path
    is_there = source.data.is_dir() or path.parent != source.data
    if draft.store.type is StoreType.SQLITE and is_there and not why_no_premises:
        try:
            stored = stored_settings(path)
        except StoreError as error:
            kind = lasting if isinstance(error, UnusableStoreError) else passing
            kind.append(Fault(None, None, STORE_PATH.pattern, str(error)))
        lasting += (Fault(None, None, None, why) for why in check_token_key(source.data))
        process = holder(path)
        if process is not None and not is_answered(source.data / draft.socket):
            why = why_held(path, process)
            passing.append(Fault(None, None, STORE_PATH.pattern, why))
    built, missing = settle(source, stored, now, alone, is_told=is_told)
    lasting += missing
    return Checked(
        draft,
        built,
        stored,
        tuple(dict.fromkeys((*built.file_faults, *(_placed(fault, source) for fault in lasting)))),
        tuple(_placed(fault, source) for fault in passing),
    )


def check_ports(checked: Checked, source: Source) -> Checked:
    """*checked*, with what cannot be listened on; the rights for that are not those of a file."""
    lasting, passing = list(checked.lasting), list(checked.passing)
    for fault, may_pass in _bind_faults(checked.built.draft, source.data):
        (passing if may_pass else lasting).append(_placed(fault, source))
    return replace(checked, lasting=tuple(lasting), passing=tuple(passing))


def settle(
    source: Source,
    stored: Mapping[str, str],
    now: Instant,
    alone: Built | None = None,
    *,
    is_told: bool,
) -> tuple[Built, tuple[Fault, ...]]:
    """What the file and the *stored* keys make, and what it needs that is not there.

    *alone* is what the file makes without any, where that is known.
    A stored key that asks for such a thing is left out, as one with a wrong value is.
    """
    usable = dict(stored)
    left_out: list[Fault] = []
    while True:
        if alone is None or usable:
            built = build(source.entries, usable, now, name=source.name)
        else:
            built = alone
        missing = tuple(what_is_missing(built.draft, source.data, now, is_told=is_told))
        guilty = {fault: _below(fault.key, usable) for fault in missing}
        if not any(guilty.values()):
            break
        for fault, keys in guilty.items():
            if keys:
                left_out.append(replace(fault, file=STORED))
            for key in keys:
                usable.pop(key, None)
    return (
        replace(built, stored_faults=(*left_out, *built.stored_faults)),
        tuple(_placed(fault, source) for fault in missing),
    )


@contextmanager
def as_owner(data: Path) -> Iterator[str | None]:
    """See files with the rights of the user that *data* belongs to, where root looks at them.

    Root can read every key; the service may not. Yields the name of that user, if it is another.
    """
    user = None
    with suppress(OSError, KeyError):
        user = pwd.getpwuid(data.stat().st_uid)
    if user is None or os.geteuid() != 0 or user.pw_uid == 0:
        yield None
        return
    groups, group = os.getgroups(), os.getegid()
    os.setgroups(os.getgrouplist(user.pw_name, user.pw_gid))
    os.setegid(user.pw_gid)
    os.seteuid(user.pw_uid)
    try:
        yield user.pw_name
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)


def _below(key: str | None, stored: Iterable[str]) -> list[str]:
    return [known for known in stored if key and (known == key or known.startswith(f"{key}."))]


def _premises_fault(why: str) -> Fault:
    is_about_socket = MANAGEMENT_SOCKET.pattern in why
    return Fault(None, None, MANAGEMENT_SOCKET.pattern if is_about_socket else None, why)


def _placed(fault: Fault, source: Source) -> Fault:
    """*fault* with the file and line of its key, where the file has it."""
    if fault.key is None or fault.file is not None:
        return fault
    entries = source.entries
    below = (known for known in entries if known.startswith(f"{fault.key}."))
    key = fault.key if fault.key in entries else next(below, None)
    return fault if key is None else replace(fault, file=source.name, line=entries[key].line)


def what_is_missing(
    configuration: Configuration, data: Path, now: Instant, *, is_told: bool
) -> Iterator[Fault]:
    """What *configuration* needs besides ports: certificates, authorities, packages, no loops."""
    at = datetime.fromtimestamp(now, UTC)
    try:
        load_certificates(configuration.certificates, data, at, at_start=True, is_told=is_told)
    except SettingsError as error:
        yield from error.faults
    try:
        check_trust(placed_upstreams(configuration, data).values())
    except SettingsError as error:
        yield from error.faults
    if configuration.uses_embedded:
        yield from _mailbox(configuration, data)
    yield from _loops(configuration)
    yield from _sockets(configuration, data)


def _mailbox(configuration: Configuration, data: Path) -> Iterator[Fault]:
    """Why the built-in mail server cannot be had; what is wrong with its data it says itself."""
    if find_spec(MAILBOX_PACKAGE) is None:
        doors = [(door.name, door.backend) for door in configuration.listeners]
        doors += [(door.name, door.backend) for door in configuration.web]
        for name, backend in doors:
            if backend == EMBEDDED:
                yield Fault(None, None, f"server.listener.{name}.backend", _NOT_INSTALLED)
    folder = data / configuration.embedded.path
    longest = max(
        (embedded_upstream(configuration.embedded, one).path or "" for one in (*Protocol, *Web)),
        key=len,
    )
    why = why_no_socket_path(len(os.fsencode(data / longest)))
    if folder.exists() and not folder.is_dir():
        why = why or f"{folder}: {os.strerror(errno.ENOTDIR)}"
    if why:
        yield Fault(None, None, EMBEDDED_PATH.pattern, why)


def _sockets(configuration: Configuration, data: Path) -> Iterator[Fault]:
    """Backends whose Unix sockets no mail server can have."""
    ours = data / configuration.socket
    for name, upstream in placed_upstreams(configuration, data).items():
        if upstream.path is None:
            continue
        why = why_no_socket_path(len(os.fsencode(upstream.path)))
        with suppress(OSError):
            why = why or (why_our_socket(name) if ours.samefile(upstream.path) else "")
        if why:
            yield Fault(None, None, f"backend.{name}.address", why)


def _loops(configuration: Configuration) -> Iterator[Fault]:
    """Backends whose names, or whose addresses on this machine, lead to one of our listeners."""
    bound = [(door.name, bind) for door in configuration.all_listeners for bind in door.binds]
    for upstream in configuration.upstreams.values():
        near = [(name, bind) for name, bind in bound if bind.port == upstream.port]
        if not near or upstream.path is not None:
            continue
        addresses = {found for host in hosts_of(upstream.host) for found in _addresses(host)}
        for name, bind in near:
            if any(
                meets(bind, address, upstream.port, is_here=is_here(address))
                for address in addresses
            ):
                key = f"backend.{upstream.name}.address"
                yield Fault(None, None, key, why_loop(name, str(bind), upstream.name))
                break


def _addresses(host: str) -> Sequence[str]:
    """What *host* means; nothing where nobody says so in time."""
    with suppress(ValueError):
        return [str(ip_address(host))]
    pool = ThreadPoolExecutor(1, thread_name_prefix="look-up")
    try:
        asked = pool.submit(socket.getaddrinfo, host, None, type=socket.SOCK_STREAM)
        return [str(found[4][0]) for found in asked.result(LOOK_UP_SECONDS)]
    except (OSError, TimeoutError, UnicodeError):
        return []
    finally:
        pool.shutdown(wait=False)


def _bind_faults(configuration: Configuration, data: Path) -> Iterator[tuple[Fault, bool]]:
    """What cannot be listened on, and whether that may pass.

    What the daemon has that runs on *data* is free for the one that comes after it.
    """
    running: list[Bind] | None = None
    for door in configuration.all_listeners:
        for bind in door.binds:
            try:
                check_bind(bind)
            except BindError as error:
                if running is None:
                    running = running_binds(data / configuration.socket)
                if error.is_taken and any(_collide(bind, other) for other in running):
                    continue
                key = f"server.listener.{door.name}.bind"
                yield Fault(None, None, key, str(error)), error.may_pass


def _collide(bind: Bind, other: Bind) -> bool:
    ours, theirs = ip_address(bind.host), ip_address(other.host)
    return (bind.port, ours.version) == (other.port, theirs.version) and (
        ours == theirs or ours.is_unspecified or theirs.is_unspecified
    )


def running_binds(where: Path) -> list[Bind]:
    """What the daemon listens on that answers at the socket *where*; nothing if none does."""
    try:
        doors = Daemon(SocketPath(str(where))).get("/api/status")["doors"]
    except (FailedError, KeyError):
        return []
    places = (door["bind"].rpartition(":") for door in doors)
    return [Bind(host.strip("[]"), int(port)) for host, _, port in places]
