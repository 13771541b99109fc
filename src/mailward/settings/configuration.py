"""What the daemon is built from: every value read, checked and of its own type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum, unique
from types import MappingProxyType

from mailward.rules.policy import Policy

NO_HEADER = "none"
NO_OPINION = "none"
UNIX = "unix:"
"""What an address begins with that is the path of a Unix socket."""
MAX_SOCKET_PATH_OCTETS = 107  # unix(7): 108 with the zero at its end
EMBEDDED = "embedded"
"""The backend that is built in."""


@unique
class Protocol(Enum):
    """What a listener speaks."""

    IMAP = "imap"
    SUBMISSION = "submission"
    MANAGESIEVE = "managesieve"


@unique
class Passage(Enum):
    """What a listener passes on without a login that it could watch."""

    SMTP = "smtp"
    """Port 25: mail from other servers."""
    TCP = "tcp"
    """Anything: the address is all that is looked at."""


@unique
class Web(Enum):
    """What a listener speaks in HTTP requests, each with credentials of its own."""

    JMAP = "jmap"


@unique
class Management(Enum):
    """What a listener speaks that is there for operators and not for mail."""

    MANAGE = "manage"


@unique
class ClientAddress(Enum):
    """How a backend is told who the client is."""

    NONE = "none"
    PROXY_V1 = "proxy-v1"
    """It cannot tell that the client has TLS."""
    PROXY_V2 = "proxy-v2"
    IMAP_ID = "imap-id"
    XCLIENT = "xclient"
    FORWARDED = "forwarded"
    """By Forwarded and X-Forwarded-For, where it speaks HTTP."""


@unique
class Encryption(Enum):
    """How the connection to a backend becomes TLS."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@unique
class StoreType(Enum):
    """Where failures, bans and settings are kept."""

    SQLITE = "sqlite"
    MEMORY = "memory"


@unique
class LogLevel(Enum):
    """The least that is worth a line in the log."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    DEBUG = "debug"


@unique
class LogFormat(Enum):
    """How a line of the log is written."""

    TEXT = "text"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class Bind:
    """Where a listener listens. *host* is an address; port 0 means any that is free.

    >>> str(Bind("::1", 143))
    '[::1]:143'
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate chain and its key, in files that are relative to the data directory."""

    name: str
    cert: str
    private_key: str


@dataclass(frozen=True, slots=True)
class DoorTls:
    """How a door speaks TLS: from the first byte if *implicit*, else after STARTTLS.

    *certificate* is shown to whoever asks for no name that another certificate has.
    """

    implicit: bool
    certificate: str


@dataclass(frozen=True, slots=True)
class Listener:
    """One door. *backend* is a name among the upstreams of the configuration.

    *proxy_protocol* says, here and below, that every connection begins with a PROXY header;
    *allow_plaintext* whether passwords are taken without TLS (``None``: on loopback alone).
    """

    name: str
    protocol: Protocol
    binds: tuple[Bind, ...]
    backend: str
    allow_plaintext: bool | None
    tls: DoorTls | None = None
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamTls:
    """How a mail server proves who it is; without *ca* (a file) the system's authorities vouch.

    *server_name* stands in its certificate; without one the host of its address.
    """

    mode: Encryption = Encryption.NONE
    ca: str | None = None
    server_name: str | None = None


@dataclass(frozen=True, slots=True)
class ManageListener:
    """A door for operators: the management API over TCP.

    *client_header* is where a trusted peer tells its client.
    """

    name: str
    binds: tuple[Bind, ...]
    allow_plaintext: bool | None
    tls: DoorTls | None = None
    proxy_protocol: bool = False
    client_header: str = NO_HEADER


@dataclass(frozen=True, slots=True)
class PassageListener:
    """A door that nobody logs in at. *backend* is a name among the upstreams.

    *allow_plaintext* says that mail may cross the network though there is no STARTTLS.
    """

    name: str
    protocol: Passage
    binds: tuple[Bind, ...]
    backend: str
    allow_plaintext: bool | None
    tls: DoorTls | None = None
    proxy_protocol: bool = False


@dataclass(frozen=True, slots=True)
class WebListener:
    """A door for HTTP requests. *backend* is a name among the upstreams.

    *client_header* is where a trusted peer tells its client; *paths* are passed on besides those
    that the backend itself tells of.
    """

    name: str
    protocol: Web
    binds: tuple[Bind, ...]
    backend: str
    allow_plaintext: bool | None
    tls: DoorTls | None = None
    proxy_protocol: bool = False
    client_header: str = NO_HEADER
    paths: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Operator:
    """Who may manage from afar. *secret* is the argon2id hash of the password."""

    user: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A mail server behind the doors. *host* is an address or a name.

    With *path* it listens on a Unix socket there, and *host* and *port* say nothing.
    """

    name: str
    host: str
    port: int
    client_address: ClientAddress
    connect_timeout: timedelta
    answer_timeout: timedelta
    tls: UpstreamTls = UpstreamTls()
    is_web: bool = False
    """It speaks HTTP."""
    second_opinion: str | None = None
    """The name of another one; :data:`NO_OPINION` where it is said that there is none."""
    path: str | None = None
    """Of its Unix socket; relative to the data directory until it is put there."""

    @property
    def where(self) -> str:
        return str(Bind(self.host, self.port)) if self.path is None else f"{UNIX}{self.path}"


@dataclass(frozen=True, slots=True)
class EmbeddedSettings:
    """The mail server that is built in. *path* is relative to the data directory.

    *relay* (host and port) takes what is for others; without one nobody does. *quota* (in octets)
    is for each account.
    """

    path: str = "embedded"
    relay: tuple[str, int] | None = None
    quota: int | None = 1_000_000_000


@dataclass(frozen=True, slots=True)
class DoorLimits:
    """What a connection that is not logged in may take of everybody's time and room."""

    login_timeout: timedelta
    max_attempts: int
    max_waiting: int
    max_waiting_per_address: int
    has_usual_max_waiting: bool = False
    """No key says how many may wait."""
    lowered_from: int | None = None
    """What *max_waiting* would be if the system gave enough descriptors."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """What the log says, and how."""

    level: LogLevel
    format: LogFormat


@dataclass(frozen=True, slots=True)
class StoreSettings:
    """*path* is relative to the data directory."""

    type: StoreType
    path: str


@dataclass(frozen=True, slots=True)
class Configuration:
    """All of it. *hostname* ``None`` means the machine's; *socket* is relative like the store.

    Without an *operator* nobody manages from afar, and there are no *managers*.
    """

    hostname: str | None
    policy: Policy
    listeners: tuple[Listener, ...]
    upstreams: Mapping[str, Upstream]
    doors: DoorLimits
    store: StoreSettings
    socket: str
    log: LogSettings
    managers: tuple[ManageListener, ...] = ()
    passages: tuple[PassageListener, ...] = ()
    web: tuple[WebListener, ...] = ()
    operator: Operator | None = None
    embedded: EmbeddedSettings = EmbeddedSettings()
    certificates: Mapping[str, Certificate] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def all_listeners(
        self,
    ) -> Iterator[Listener | PassageListener | WebListener | ManageListener]:
        yield from self.listeners
        yield from self.passages
        yield from self.web
        yield from self.managers

    @property
    def uses_embedded(self) -> bool:
        """Whether some listener stands before the mail server that is built in."""
        behind = [door.backend for door in self.listeners]
        return EMBEDDED in (*behind, *(door.backend for door in self.web))
