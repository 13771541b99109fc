"""The process: what it listens on, and how it begins and ends."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

import uvloop

from mailward.wire.door import Door
from mailward.wire.imap.door import ImapDoor
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.smtp.door import SubmissionDoor
from mailward_mailbox.accounts.errors import AccountError
from mailward_mailbox.server import MailServer
from mailward_mailbox.serving.clock import wall_clock
from mailward_mailbox.serving.confinement import give_memory_back, raise_descriptor_limit
from mailward_mailbox.serving.connections.lines import LineConnections, LineService, Shared
from mailward_mailbox.serving.connections.listener import Connections, Listener, Serve
from mailward_mailbox.serving.connections.logins import Logins
from mailward_mailbox.serving.connections.waiting import Waiting
from mailward_mailbox.serving.connections.web import WebConnections
from mailward_mailbox.serving.control import Control
from mailward_mailbox.serving.logs import set_up_logs
from mailward_mailbox.serving.plan import CONTROL, Plan, Service, StartError
from mailward_mailbox.serving.sockets import SocketError, listen_on_path, listen_on_port
from mailward_mailbox.serving.supervision import (
    Lines,
    Stopping,
    first_settings,
    follow,
    tell_ready,
)
from mailward_mailbox.settings import Settings, UnfitSettingsError

_log = logging.getLogger("mailbox.process")


def run(plan: Plan) -> None:
    """Serve until a signal, or the supervisor's end.

    Raises:
        StartError: the settings, the data or a socket cannot be used.
    """
    raise_descriptor_limit()
    give_memory_back()
    set_up_logs(is_supervised=plan.is_supervised)
    lines = Lines(sys.stdin.fileno()) if plan.is_supervised else None
    try:
        settings = plan.settings if lines is None else first_settings(lines)
        if settings is None:
            return
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(plan, settings, lines))
    except (AccountError, SocketError, UnfitSettingsError) as error:
        raise StartError(str(error)) from None


async def _serve(plan: Plan, settings: Settings, lines: Lines | None) -> None:
    stopping = Stopping()
    stopping.listen()
    tasks = asyncio.TaskGroup()
    process = _Process(plan, settings, tasks)
    try:
        opened = process.open()
        async with tasks:
            process.accept(opened)
            if lines is None:
                _log.info("ready; the data is in %s", plan.data)
            else:
                follow(lines, process.change, process.refuse, stopping)
                tell_ready()
            await stopping.wait()
            await process.end_sessions()
    finally:
        await process.close()


class _Process:
    """All objects of the process, and its sockets."""

    def __init__(self, plan: Plan, settings: Settings, tasks: asyncio.TaskGroup) -> None:
        self._plan = plan
        self._server = server = MailServer(plan.data, settings, wall_clock)
        self._shared = Shared(server.accounts, server.mail, Logins(server.accounts), Waiting())
        self._connections = Connections(tasks)
        self._listeners: list[Listener] = []
        self._paths: list[Path] = []

    def change(self, settings: Settings) -> None:
        """Go on with other settings; sessions that are open go on with them, too."""
        self._server.settings = settings

    def refuse(self, why: str) -> None:
        """Settings cannot be used: those before stay."""
        _log.error("%s; the settings stay as they were", why)

    def open(self) -> list[tuple[socket.socket, Serve]]:
        """All sockets, and what serves their connections.

        Raises:
            SocketError: one cannot be listened on.
        """
        opened: list[tuple[socket.socket, Serve]] = []
        try:
            for service in Service:
                listening = self._at(f"{service.value}.sock")
                opened.append((listening, self._serve(service, is_proxied=True)))
            control = Control(self._server.accounts, self._server.faults)
            opened.append((self._at(CONTROL), control.serve))
            for service, (host, port) in self._plan.ports.items():
                listening = listen_on_port(host, port, allow_remote=self._plan.allow_remote)
                opened.append((listening, self._serve(service, is_proxied=False)))
                where = listening.getsockname()
                _log.info("%s listens on %s port %d", service.value, where[0], where[1])
                if not ip_address(where[0]).is_loopback:
                    _log.warning(
                        "%s is open to other machines, without TLS and without limits for guesses:"
                        " passwords and mail can be read on their way; use it for tests alone",
                        service.value,
                    )
        except SocketError:
            for listening, _ in opened:
                listening.close()
            raise
        return opened

    def accept(self, opened: list[tuple[socket.socket, Serve]]) -> None:
        """Accept connections from now on."""
        for listening, serve in opened:
            self._listeners.append(Listener(listening, self._connections, serve))

    async def end_sessions(self) -> None:
        """Accept nothing more, and end all sessions."""
        for listener in self._listeners:
            listener.close()
        await self._connections.close()

    async def close(self) -> None:
        """Remove the sockets, and let go of the files."""
        for path in self._paths:
            with suppress(OSError):
                path.unlink()
        await self._server.close()

    def _at(self, name: str) -> socket.socket:
        path = self._plan.data / name
        listening = listen_on_path(path)
        self._paths.append(path)
        return listening

    def _serve(self, service: Service, *, is_proxied: bool) -> Serve:
        if service is Service.JMAP:
            jmap, waiting = self._server.jmap, self._shared.waiting
            return WebConnections(jmap, waiting, is_proxied=is_proxied).serve
        spoken, door = self._line_service(service)
        return LineConnections(self._shared, spoken, door, is_proxied=is_proxied).serve

    def _line_service(self, service: Service) -> tuple[LineService, Callable[[], Door]]:
        """What speaks *service*, and the door that its connections log in at."""
        server = self._server
        match service:
            case Service.IMAP:
                return server.imap, lambda: ImapDoor(server.imap.offer, passwords=True)
            case Service.SUBMISSION:
                return server.submission, lambda: SubmissionDoor(
                    server.submission.offer, hostname=server.hostname(), passwords=True
                )
            case Service.MANAGESIEVE:
                sieve = server.managesieve
                return sieve, lambda: ManageSieveDoor(sieve.offer, passwords=True)
            case Service.JMAP:
                raise ValueError("JMAP is no line protocol")
