"""``mailward serve``: from a configuration file to a running daemon, and back to nothing."""

from __future__ import annotations

import asyncio
import ctypes
import faulthandler
import gc
import logging
import os
import resource
import secrets
import signal
import sys
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import asdict
from functools import partial
from pathlib import Path
from socket import socket

import uvloop
from aiohttp import web

from mailward import VERSION
from mailward.admin.afar import Conversation
from mailward.admin.api import make_app
from mailward.admin.control import Control
from mailward.admin.keys import Keys
from mailward.admin.keys import Source as Reread
from mailward.admin.loaded import read_anew
from mailward.admin.wishes import RefusedError
from mailward.app.check import (
    Checked,
    Source,
    as_owner,
    check_files,
    check_ports,
    running_binds,
    settle,
    what_is_missing,
)
from mailward.app.clock import SteadyClock, mended
from mailward.app.logs import set_up_logs
from mailward.app.mailbox.check import mailbox_shortcomings
from mailward.app.neighbours import neighbours
from mailward.app.opinions import look_at_opinions
from mailward.app.paths import config_path, data_path, usual_config_path
from mailward.app.premises import OccupiedError, Premises, PremisesError
from mailward.app.privileges import keep_capabilities_to_ourselves
from mailward.app.systemd import keep_watch, notify, reloading, watchdog_seconds
from mailward.app.tokenkey import TokenKeyError, token_key
from mailward.app.upstreams import placed_upstreams
from mailward.app.wiring import Program, choose_store, descriptor_limit
from mailward.guard.bites import keeping_all, look_as_usual
from mailward.guard.tokens import KEY_OCTETS
from mailward.guard.writer import SWITCH_SECONDS
from mailward.settings.advice import advice, fitted
from mailward.settings.configuration import Configuration, StoreType
from mailward.settings.dialect import Entry, read_keys
from mailward.settings.errors import Fault, SettingsError
from mailward.stores.port import Store, StoreError, UnusableStoreError

EXIT_FAILED = 1
EXIT_CONFIG = 78  # EX_CONFIG of sysexits.h

LAST_ANSWERS_SECONDS = 2.0  # for operators' requests that are under way when the daemon stops

_log = logging.getLogger("mailward.daemon")


def serve(config: str | None, data: str | None, check: bool) -> int:
    """Run until told to stop; return the exit status. With *check* only look and report."""
    path = config_path(config)
    clock = SteadyClock()
    premises_path = data_path(data)
    try:
        with as_owner(premises_path) if check else nullcontext() as user, keeping_all():
            source = Source(read_file(path), None if path is None else str(path), premises_path)
            checked = check_files(source, clock(), is_told=check)
        checked = check_ports(checked, source)
    except SettingsError as error:
        return _wrong(error.faults)
    if checked.lasting or checked.passing:
        _wrong((*checked.lasting, *checked.passing))
        if user is not None:
            _say(f"all files were looked at as the user {user}, who owns {premises_path}")
        return EXIT_CONFIG if checked.lasting else EXIT_FAILED
    if check:
        for fault in checked.built.stored_faults:
            _say(f"left out of the configuration: {fault}")
        print(f"{source.name or _nothing_there()} is right")  # noqa: T201 -- what --check is for
        _advise(checked.built.draft, premises_path)
        return 0
    configuration = checked.file
    set_up_logs(configuration.log)
    faulthandler.enable()  # what a watchdog ends (SIGABRT) says where it stood
    _raise_descriptor_limit()
    keep_capabilities_to_ourselves()
    sys.setswitchinterval(SWITCH_SECONDS)
    try:
        premises = Premises(premises_path)
    except PremisesError as error:
        return _not_ours(error)
    try:
        listening = premises.open_socket(configuration.socket)
    except PremisesError as error:
        premises.leave()
        return _not_ours(error)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(checked, source, listening, clock))
    finally:
        listening.close()
        premises.remove_socket(configuration.socket)
        premises.leave()


def _nothing_there() -> str:
    return f"the built-in configuration (there is no {usual_config_path()})"


def _key(kept: StoreType, data: Path) -> bytes:
    """The key of the digests of good tokens; where nothing is kept, one for this run."""
    match kept:
        case StoreType.SQLITE:
            return token_key(data)
        case StoreType.MEMORY:
            return secrets.token_bytes(KEY_OCTETS)


class _StopError(Exception):
    """Everything has been put away: what still runs beside it may be cancelled."""


async def _run(checked: Checked, source: Source, listening: socket, clock: SteadyClock) -> int:
    built, data, path = checked.built, source.data, source.name
    gc.disable()  # while a store is read there is nothing to collect, and much to look through
    store = choose_store(checked.file.store, data)
    try:
        contents = await mended(store, await store.load(), clock)
        key = _key(checked.file.store.type, data)
    except StoreError as error:
        await store.close()
        return _failed(str(error), lasting=isinstance(error, UnusableStoreError))
    except TokenKeyError as error:
        await store.close()
        return _failed(str(error), lasting=True)
    if contents.settings != checked.stored:  # another daemon changed them a moment ago
        built, missing = settle(source, contents.settings, clock(), is_told=False)
        if missing or built.file_faults:
            await store.close()
            return _wrong((*built.file_faults, *missing))
    for fault in built.stored_faults:
        _log.error("left out of the configuration: %s", fault)
    configuration = fitted(built.draft, descriptor_limit())
    try:
        async with asyncio.TaskGroup() as tasks:
            program = Program(configuration, store, contents, clock, tasks, data, key)
            keys = Keys(
                program.guard,
                clock,
                Reread(
                    path,
                    lambda: read_file(None if path is None else Path(path)),
                    program.adopt,
                    program.reload_certificates,
                    lambda draft: tuple(
                        what_is_missing(draft, source.data, clock(), is_told=False)
                    ),
                ),
                read_anew(source.entries, built),
                contents.settings,
            )
            control = Control(
                program.guard,
                clock,
                keys,
                lambda: [asdict(door) for door in program.doors.status()],
                VERSION,
                program.warnings,
                program.crowd,
                lambda: program.accounts,
            )
            del contents
            _leave_in_peace()
            far = await _speak_with_operators(program, control)
            try:
                program.start(program.doors.prepare(configuration))
            except SettingsError as error:
                await store.close()
                _wrong(error.faults)
                return EXIT_FAILED if error.may_pass else EXIT_CONFIG
            await _serve_until_told(program, control, store, listening, tasks, source)
            await far.cleanup()
            raise _StopError  # noqa: TRY301 -- how one ends a TaskGroup
    except* _StopError:
        pass
    return 0


def _leave_in_peace() -> None:
    """Keep the garbage collector away from all that was loaded.

    It would look through a million bans again and again, and the loop would stand still meanwhile.
    To look through them once before would find nothing, which takes 0.4 s.
    """
    gc.freeze()
    look_as_usual()
    gc.enable()
    # What the load only needed for a while lies between what stays; glibc keeps it unless asked.
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


async def _speak_with_operators(program: Program, control: Control) -> web.AppRunner:
    """Make what speaks with operators from afar, before a door opens for them."""
    app = make_app(control, program.journal, program.gate)
    runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=LAST_ANSWERS_SECONDS)
    await runner.setup()
    server = runner.server
    if server is None:
        raise ValueError("a runner that is set up has a server")
    program.doors.speak = partial(Conversation, server)
    return runner


async def _serve_until_told(
    program: Program,
    control: Control,
    store: Store,
    listening: socket,
    tasks: asyncio.TaskGroup,
    source: Source,
) -> None:
    api = web.AppRunner(
        make_app(control, program.journal),
        handle_signals=False,
        access_log=None,
        shutdown_timeout=LAST_ANSWERS_SECONDS,
    )
    await api.setup()
    await web.SockSite(api, listening).start()
    told = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, told.set)
    has_terminal = sys.stderr.isatty()

    def hang_up() -> None:
        # From a terminal that was closed it means "end"; from anybody else "read anew".
        if has_terminal and not _is_terminal_there():
            told.set()
        else:
            tasks.create_task(_reload(program, control))

    loop.add_signal_handler(signal.SIGHUP, hang_up)
    await program.settle_in()
    _say_what_is_open(program, source.data, source.name)
    notify("READY=1", f"STATUS={_status(program)}")
    if period := watchdog_seconds():
        tasks.create_task(keep_watch(store, period, partial(_status, program)))
    await told.wait()
    notify("STOPPING=1")
    _log.info("stopping")
    loop.remove_signal_handler(signal.SIGHUP)
    await program.shut()
    await api.cleanup()
    await program.close()


def _is_terminal_there() -> bool:
    try:
        os.tcgetpgrp(sys.stderr.fileno())
    except OSError:
        return False
    return True


async def _reload(program: Program, control: Control) -> None:
    reloading()
    try:
        await control.keys.reload()
    except RefusedError as error:
        _log.error("not reloaded: %s", error)
        for complaint in error.complaints:
            _log.error("not reloaded: %s", complaint.message)
    except Exception:  # noqa: BLE001 -- in a TaskGroup it would end the daemon
        _log.exception("not reloaded")
    notify("READY=1", f"STATUS={_status(program)}")


def _status(program: Program) -> str:
    """One line for ``systemctl status``."""
    if why := program.guard.writer.degraded:
        return f"Counting in memory only. {why}"
    doors, bans = len(program.doors.status()), len(program.guard.mirror)
    return f"Addresses listened on: {doors}. Bans in force: {bans}."


def _say_what_is_open(program: Program, data: Path, path: str | None) -> None:
    _log.info("mailward %s is ready; its data is in %s", VERSION, data)
    for door in program.doors.status():
        _log.info(
            "%s (%s) listens on %s before %s",
            door.listener,
            door.protocol,
            door.bind,
            door.backend or "this API",
        )
    if not program.doors.status():
        _log.warning("no listener is configured: see [server.listener.*] in the reference")
        if path is None:
            _log.warning(
                "no configuration was read: there is no %s, and neither --config nor"
                " MAILWARD_CONFIG names another file",
                usual_config_path(),
            )
    for warning in program.warnings():
        _log.warning("%s", warning)
    if program.has_no_account:
        _log.info("nobody has an account yet: %s --data %s accounts add NAME", sys.argv[0], data)
    _log.info("next: %s --data %s status", sys.argv[0], data)


def read_file(path: Path | None) -> dict[str, Entry]:
    """The keys of the configuration file; none where there is no file.

    Raises:
        SettingsError: it cannot be read.
    """
    if path is None:
        return {}
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise SettingsError(
            [Fault(str(path), None, None, f"cannot be read: {error.strerror}")]
        ) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise SettingsError([Fault(str(path), line, None, "is not UTF-8 text")]) from None
    return read_keys(text, str(path))


def _raise_descriptor_limit() -> None:
    """Every session takes two descriptors: take as many as the system gives."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _advise(configuration: Configuration, data: Path) -> None:
    """Print what is allowed, but seldom meant."""
    opinions = look_at_opinions(configuration, placed_upstreams(configuration, data))
    others = neighbours(configuration, running_binds(data / configuration.socket))
    embedded = data / configuration.embedded.path
    mailbox = mailbox_shortcomings(embedded) if configuration.uses_embedded else ()
    for warning in (*advice(configuration, None), *others, *opinions, *mailbox):
        _say(f"warning: {warning}")


def _wrong(faults: Iterable[Fault]) -> int:
    for fault in faults:
        _say(str(fault) if fault.key or fault.file else f"mailward: {fault}")
    return EXIT_CONFIG


def _not_ours(error: PremisesError) -> int:
    return _failed(str(error), lasting=not isinstance(error, OccupiedError))


def _failed(why: str, *, lasting: bool) -> int:
    _say(f"mailward: {why}")
    return EXIT_CONFIG if lasting else EXIT_FAILED


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201 -- there is no log yet
