"""``mailward backup`` and ``mailward restore``: the store as one whole file, out and in again.

A backup needs no daemon and holds up none: SQLite reads one moment of the file while others write.
A restore wants the daemon stopped. Whenever either is killed there is the old file or the new one,
each whole, under the name that counts.
"""

from __future__ import annotations

import argparse
import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from mailward.app.cli.client import Daemon
from mailward.app.cli.failures import EXIT_CONFIG, FailedError
from mailward.app.cli.output import counted, print_json, print_lines, shown
from mailward.app.cli.places import SocketPath
from mailward.app.clock import SteadyClock
from mailward.app.daemon import read_file
from mailward.app.paths import config_path, data_path
from mailward.app.premises import OccupiedError, Premises, PremisesError
from mailward.rules.model import Instant
from mailward.settings.build import build
from mailward.settings.configuration import Configuration, StoreType
from mailward.settings.errors import SettingsError
from mailward.stores.copying import Held, copy_store, sync, usable_contents, written_back
from mailward.stores.lock import StoreLock, own_as
from mailward.stores.log import log_of
from mailward.stores.port import StoreError

_BESIDE = ("-wal", "-shm", "-journal")  # what SQLite may have beside a file
_NO_HARD_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK}  # file systems that have none


def backup(options: argparse.Namespace) -> int:
    """One file with all that the store holds at this moment."""
    configuration, data = _configured(options)
    store = _store_of(configuration, data)
    target = Path(options.file)
    if not store.exists():
        raise FailedError(
            f"there is no store at {store}; name the data directory with --data, or the"
            " configuration with --config"
        )
    _check_target(target, store, may_replace=options.overwrite)
    with _part_of(target) as part, _told():
        held = copy_store(store, part)
        _publish(part, target, may_replace=options.overwrite)
    behind = _behind(data / configuration.socket)
    if options.json:
        print_json({"file": str(target), **held._asdict(), "warning": behind or None})
    else:
        said = f"Saved {_counted(held)} of {store} in {target}."
        print_lines(shown(line) for line in (said, behind) if line)
    return 0


def restore(options: argparse.Namespace) -> int:
    """The store as a backup has it; the one that was there is kept beside it."""
    configuration, data = _configured(options)
    store = _store_of(configuration, data)
    source = Path(options.file)
    with _daemon_stopped(data, store), _told():
        if store.exists() and source.exists() and source.samefile(store):
            raise FailedError(f"{source} is the store itself; there is nothing to restore")
        part = Path(f"{store}.restoring")
        _remove(part)
        try:
            _make(part)
            held = copy_store(source, part, alone=options.incomplete)
            usable_contents(part)
            _own(part, store)
            aside = _put_aside(store)
            part.replace(store)
            sync(store.absolute().parent)
        finally:
            _remove(part)
    kept = None if aside is None else str(aside)
    if options.json:
        print_json({"store": str(store), **held._asdict(), "aside": kept})
    else:
        told = f"Restored {_counted(held)} from {source} to {store}."
        print_lines([shown(told if kept is None else f"{told} What was there is in {kept}.")])
    return 0


# -- where ----------------------------------------------------------------------------------------


def _configured(options: argparse.Namespace) -> tuple[Configuration, Path]:
    """What the configuration file says, as far as it is right, and the data directory.

    Raises:
        FailedError: the file cannot be read.
    """
    path = config_path(options.config)
    try:
        entries = read_file(path)
    except SettingsError as error:
        raise FailedError(
            f"{path}, which tells where the store is, cannot be read",
            [str(fault) for fault in error.faults],
            EXIT_CONFIG,
        ) from None
    return build(entries, {}, Instant(0.0)).draft, data_path(options.data)


def _store_of(configuration: Configuration, data: Path) -> Path:
    match configuration.store.type:
        case StoreType.SQLITE:
            return data / configuration.store.path
        case StoreType.MEMORY:
            raise FailedError('store.type = "memory" keeps nothing that could be saved or restored')


@contextmanager
def _told() -> Iterator[None]:
    """A store that cannot be read, and a disk that is full, in the words of a command."""
    try:
        yield
    except StoreError as error:
        raise FailedError(str(error)) from None
    except OSError as error:
        raise FailedError(f"{error.filename or 'the disk'}: {error.strerror}") from None


# -- saving ---------------------------------------------------------------------------------------


def _check_target(target: Path, store: Path, *, may_replace: bool) -> None:
    taken = {os.path.realpath(store), *(os.path.realpath(f"{store}{end}") for end in _BESIDE)}
    if os.path.realpath(target) in taken:
        raise FailedError(f"{target} is the store itself; name another file")
    if target.is_dir():
        raise FailedError(f"{target} is a folder; name a file")
    if target.exists() and not may_replace:
        raise FailedError(f"{target} is there already; name another file, or say --overwrite")


@contextmanager
def _part_of(target: Path) -> Iterator[Path]:
    """An empty file beside *target*, mode 0600, for one backup at a time; gone at the end.

    Raises:
        FailedError: it cannot be made, or another backup writes it.
    """
    part = Path(f"{target}.part")
    try:
        opened = os.open(part, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise FailedError(f"{part} cannot be made: {error.strerror}") from None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(opened)
        raise FailedError(f"another backup writes {target} at this moment") from None
    try:
        os.fchmod(opened, 0o600)
        os.ftruncate(opened, 0)  # of a backup that was killed
        for end in _BESIDE:
            Path(f"{part}{end}").unlink(missing_ok=True)
        yield part
    finally:
        _remove(part)
        os.close(opened)


def _publish(part: Path, target: Path, *, may_replace: bool) -> None:
    """Give *part* the name *target*: at once, and never over a file that may not be replaced."""
    if may_replace:
        part.replace(target)
    else:
        try:
            os.link(part, target)
        except FileExistsError:
            raise FailedError(f"{target} is there now; name another file") from None
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            part.replace(target)
    sync(target.absolute().parent)


def _behind(socket: Path) -> str:
    """What the backup lacks where a daemon cannot write to its store; else nothing."""
    with suppress(FailedError, KeyError):
        store = Daemon(SocketPath(str(socket))).get("/api/status")["store"]
        if store["state"] != "ok":
            return (
                f"The daemon cannot write to its store ({store['reason']}): what it has only in"
                " memory is not in this backup."
            )
    return ""


# -- restoring ------------------------------------------------------------------------------------


@contextmanager
def _daemon_stopped(data: Path, store: Path) -> Iterator[None]:
    """No daemon runs on *data* or with *store*, and none can begin to.

    Raises:
        FailedError: one does.
    """
    try:
        premises = Premises(data)
    except OccupiedError as error:
        raise FailedError(f"{error}: systemctl stop mailward") from None
    except PremisesError as error:
        raise FailedError(str(error)) from None
    lock = StoreLock(store)
    try:
        with _told():
            if not store.absolute().parent.is_dir():
                raise FailedError(f"there is no folder {store.absolute().parent}; make it first")
            lock.take()
        yield
    finally:
        lock.release()
        premises.leave()


def _put_aside(store: Path) -> Path | None:
    """A second name for the file that is at *store*, which has all that was in its log.

    Until the new file takes its place the old one stays where it is: a kill in between leaves it.
    """
    with suppress(StoreError):  # one that is damaged goes with its log
        written_back(store)
    log = log_of(store)
    if not store.exists() and not log.exists():
        return None
    aside = _free_name(store)
    if log.exists():
        # The new file must never be read with the log of the old one. If this is where it ends, the
        # old file says that its log is missing: it is refused, not taken for an empty store.
        log.rename(log_of(aside))
    if store.exists():
        try:
            os.link(store, aside)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            shutil.copy2(store, aside)
            sync(aside)
    Path(f"{store}-shm").unlink(missing_ok=True)
    sync(store.absolute().parent)
    return aside


def _free_name(store: Path) -> Path:
    now = datetime.fromtimestamp(SteadyClock()(), UTC)
    name = f"{store}.before-{now:%Y%m%dT%H%M%SZ}"
    taken = 0
    while Path(name if not taken else f"{name}-{taken}").exists():
        taken += 1
    return Path(name if not taken else f"{name}-{taken}")


def _make(path: Path) -> None:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _own(part: Path, store: Path) -> None:
    opened = os.open(part, os.O_RDWR | os.O_CLOEXEC)
    try:
        own_as(opened, store)
    finally:
        os.close(opened)


def _remove(path: Path) -> None:
    for name in (path, *(Path(f"{path}{end}") for end in _BESIDE)):
        name.unlink(missing_ok=True)


def _counted(held: Held) -> str:
    return (
        f"{counted(held.bans, 'ban')}, {counted(held.failures, 'failure')} and"
        f" {counted(held.settings, 'setting')}"
    )
