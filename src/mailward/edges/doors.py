"""All doors of this node: opened, reshaped while they are open, and shut."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from socket import socket
from types import MappingProxyType

from mailward.backends.port import Backend, PassageBackend, WebBackend
from mailward.edges.asker import Terms
from mailward.edges.caller import Caller, Standing
from mailward.edges.house import B, Entrance, House
from mailward.edges.jmap.proofs import Proofs
from mailward.edges.jmap.session import JmapEntrance, speak_jmap
from mailward.edges.listener import BindError, Listener, open_socket
from mailward.edges.lobby import Guest
from mailward.edges.receptions import (
    MailReception,
    PassageReception,
    Reception,
    VisitReception,
)
from mailward.edges.tls import Keyring
from mailward.edges.visit import Speak
from mailward.guard.bites import in_bites
from mailward.guard.mirror import BanChange, BanGone, BanInForce
from mailward.rules.addresses import network_subject, subject_network
from mailward.rules.model import Reason, Subject, SubjectKind
from mailward.settings.configuration import (
    Bind,
    Configuration,
    DoorLimits,
    ManageListener,
    Management,
    Passage,
    PassageListener,
    Protocol,
    Web,
    WebListener,
)
from mailward.settings.configuration import Listener as ListenerSettings
from mailward.settings.errors import Fault, SettingsError
from mailward.wire.door import Door
from mailward.wire.http.answers import CROWDED
from mailward.wire.imap.door import ImapDoor
from mailward.wire.managesieve.door import ManageSieveDoor
from mailward.wire.passage import Passing, Straight
from mailward.wire.smtp.door import SubmissionDoor
from mailward.wire.smtp.passage import SmtpPassage
from mailward.wire.smtp.reply import address_literal

Backends = Mapping[tuple[str, Protocol], Backend]
WebBackends = Mapping[tuple[str, Web], WebBackend]
PassageBackends = Mapping[tuple[str, Passage], PassageBackend]


@dataclass(frozen=True, slots=True)
class Prepared:
    """New sockets for a configuration that is not in use yet."""

    configuration: Configuration
    sockets: Mapping[Bind, socket]

    def discard(self) -> None:
        for opened in self.sockets.values():
            opened.close()


@dataclass(frozen=True, slots=True)
class DoorStatus:
    """One listener, as an operator sees it."""

    listener: str
    protocol: str
    bind: str
    backend: str
    state: str


class Doors:
    """The listeners of *house*, by where they listen.

    *hostname* is the machine's, used where none is configured. *speak* speaks with operators; it
    is to be set before a manage listener is opened.
    """

    speak: Speak

    def __init__(self, house: House, hostname: str) -> None:
        self._house = house
        self.keyring = Keyring()
        self._hostname = hostname
        self._listeners: dict[Bind, Listener] = {}
        self._proofs = Proofs(secrets.token_bytes(32))

    def prepare(self, configuration: Configuration) -> Prepared:
        """Open what *configuration* wants beyond what is open, and change nothing yet.

        Raises:
            SettingsError: a socket cannot be opened; every such fault is in it.
        """
        opened: dict[Bind, socket] = {}
        faults: list[Fault] = []
        may_pass = True
        for settings in configuration.all_listeners:
            for bind in settings.binds:
                if bind in self._listeners:
                    continue
                try:
                    opened[bind] = open_socket(bind)
                except BindError as error:
                    may_pass = may_pass and error.may_pass
                    key = f"server.listener.{settings.name}.bind"
                    ours = [other for other in self._listeners if other.port == bind.port]
                    why = (
                        f"{bind} cannot be taken while this daemon listens on {ours[0]}: restart it"
                        if ours and bind.port
                        else str(error)
                    )
                    faults.append(Fault(None, None, key, why))
        prepared = Prepared(configuration, opened)
        if faults:
            prepared.discard()
            raise SettingsError(faults, may_pass=may_pass)
        return prepared

    def apply(
        self,
        prepared: Prepared,
        backends: Backends,
        passages: PassageBackends = MappingProxyType({}),
        web: WebBackends = MappingProxyType({}),
    ) -> None:
        """Listen as *prepared* says. Connections that are open stay with what they began with."""
        configuration = prepared.configuration
        self._house.lobby.max_waiting = configuration.doors.max_waiting
        self._house.lobby.max_waiting_per_address = configuration.doors.max_waiting_per_address
        wanted: dict[Bind, Reception] = {}
        for settings in configuration.listeners:
            reception = self._for_mail(settings, configuration, backends)
            wanted |= dict.fromkeys(settings.binds, reception)
        for passage in configuration.passages:
            crossing = self._for_passage(passage, configuration, passages)
            wanted |= dict.fromkeys(passage.binds, crossing)
        for door in configuration.web:
            wanted |= dict.fromkeys(door.binds, self._for_requests(door, configuration, web))
        for manager in configuration.managers:
            wanted |= dict.fromkeys(manager.binds, self._for_operators(manager, configuration))
        for bind in self._listeners.keys() - wanted.keys():
            self._listeners.pop(bind).close()
        for bind, receiving in wanted.items():
            listener = self._listeners.get(bind)
            if listener is None:
                self._listeners[bind] = Listener(self._house, receiving, prepared.sockets[bind])
            else:
                listener.reception = receiving

    def status(self) -> Sequence[DoorStatus]:
        return [
            DoorStatus(
                listener.reception.listener,
                listener.reception.service,
                str(Bind(bind.host, listener.port)),
                listener.reception.backend,
                listener.reception.state,
            )
            for bind, listener in self._listeners.items()
        ]

    @property
    def binds(self) -> Sequence[tuple[str, Bind]]:
        """Where each listener listens, with the port that it was given where any would do."""
        return [
            (listener.reception.listener, Bind(bind.host, listener.port))
            for bind, listener in self._listeners.items()
        ]

    async def follow_bans(self) -> None:
        """Close the connections of banned addresses, and the sessions of logins that are banned by
        hand, until cancelled.
        """
        with self._house.guard.mirror.changes.follow() as news:
            async for changes in news.batches():
                async for guests in in_bites(await self._touched(changes)):
                    for guest in guests:
                        ban = self._house.guard.admit(
                            guest.address, self._house.clock(), is_direct=guest.is_direct
                        )
                        if ban is not None:
                            guest.shut_out()
                if logins := await _locked(changes):
                    await self._house.guard.sessions.close(logins, self._house.clock())

    async def _touched(self, changes: Sequence[BanChange]) -> list[Guest]:
        """Whoever one of the new bans may cover: one look at everybody, however many they are."""
        prefixes = self._house.guard.policy.prefixes
        subjects: dict[Subject, None] = {}
        async for bite in in_bites(changes):
            for change in bite:
                match change:
                    case BanInForce(ban) if ban.subject.kind is SubjectKind.ADDRESS:
                        network = subject_network(ban.subject)
                        counted = prefixes.network(network.network_address)
                        if network.prefixlen < counted.prefixlen:
                            return list(self._house.lobby.everybody())
                        subjects[network_subject(counted)] = None
                    case BanInForce() | BanGone():
                        pass
        return [guest for subject in subjects for guest in self._house.lobby.of(subject)]

    async def shut(self, seconds: float) -> None:
        """Accept nothing more and close every connection, within *seconds*."""
        for listener in self._listeners.values():
            listener.close()
        self._listeners.clear()
        for guest in self._house.lobby.everybody():
            guest.stop()
        try:
            async with asyncio.timeout(seconds):
                await self._house.lobby.empty.wait()
        except TimeoutError:
            return  # whoever does not take the last word goes without

    def _entrance(
        self, settings: ListenerSettings | PassageListener, backend: B, limits: DoorLimits
    ) -> Entrance[B]:
        return Entrance(
            settings.name, settings.protocol.value, backend, limits, settings.tls, self.keyring
        )

    def _for_mail(
        self, settings: ListenerSettings, configuration: Configuration, backends: Backends
    ) -> MailReception:
        backend = backends[settings.backend, settings.protocol]
        entrance = self._entrance(settings, backend, configuration.doors)
        make_door = self._door_maker(settings, configuration.hostname or self._hostname)
        return MailReception(
            self._house, entrance, settings.backend, settings.proxy_protocol, make_door
        )

    def _for_passage(
        self, settings: PassageListener, configuration: Configuration, backends: PassageBackends
    ) -> PassageReception:
        hostname = configuration.hostname or self._hostname
        backend = backends[settings.backend, settings.protocol]
        entrance = self._entrance(settings, backend, configuration.doors)

        def make(caller: Caller) -> Passing:
            starttls = settings.tls is not None and not settings.tls.implicit
            match settings.protocol:
                case Passage.SMTP:
                    return SmtpPassage(
                        hostname=hostname,
                        starttls=starttls and not caller.tls,
                        literal=address_literal(caller.source[0]),
                    )
                case Passage.TCP:
                    return Straight()

        return PassageReception(
            self._house, entrance, settings.backend, settings.proxy_protocol, make
        )

    def _for_requests(
        self, settings: WebListener, configuration: Configuration, backends: WebBackends
    ) -> VisitReception:
        backend = backends[settings.backend, settings.protocol]
        entrance = JmapEntrance(
            settings.name,
            settings.protocol.value,
            backend,
            configuration.doors,
            self._proofs,
            settings.paths,
        )
        return VisitReception(
            self._house,
            settings.name,
            settings.protocol.value,
            speak_jmap(self._house, entrance),
            configuration.doors,
            Terms(settings.client_header, settings.allow_plaintext),
            settings.tls,
            self.keyring,
            settings.proxy_protocol,
            backend,
            CROWDED.octets(has_body=True, closes=True),
        )

    def _for_operators(
        self, settings: ManageListener, configuration: Configuration
    ) -> VisitReception:
        return VisitReception(
            self._house,
            settings.name,
            Management.MANAGE.value,
            self.speak,
            configuration.doors,
            Terms(settings.client_header, settings.allow_plaintext),
            settings.tls,
            self.keyring,
            settings.proxy_protocol,
        )

    def _door_maker(
        self, settings: ListenerSettings, hostname: str
    ) -> Callable[[Entrance[Backend], Caller], Door]:
        def make(entrance: Entrance[Backend], caller: Caller) -> Door:
            passwords = caller.may_speak_plainly(settings.allow_plaintext)
            is_trusted = self._house.guard.policy.trusts(caller.address)
            believes = is_trusted and caller.standing is not Standing.CHECK
            starttls = settings.tls is not None and not settings.tls.implicit
            match settings.protocol:
                case Protocol.IMAP:
                    return ImapDoor(
                        entrance.backend.offer,
                        passwords=passwords,
                        starttls=starttls,
                        believes=believes,
                    )
                case Protocol.SUBMISSION:
                    return SubmissionDoor(
                        entrance.backend.offer,
                        hostname=hostname,
                        passwords=passwords,
                        starttls=starttls,
                        believes=believes,
                    )
                case Protocol.MANAGESIEVE:
                    return ManageSieveDoor(
                        entrance.backend.offer,
                        passwords=passwords,
                        starttls=starttls,
                        believes=believes,
                    )

        return make


async def _locked(changes: Sequence[BanChange]) -> list[Subject]:
    """The logins that one of the new bans locks: by hand, as a stranger can cause the others."""
    found: list[Subject] = []
    async for bite in in_bites(changes):
        for change in bite:
            match change:
                case BanInForce(ban) if (
                    ban.kind is SubjectKind.LOGIN and ban.reason is Reason.MANUAL
                ):
                    found.append(ban.subject)
                case BanInForce() | BanGone():
                    pass
    return found
