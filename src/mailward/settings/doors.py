"""The listeners."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address

from mailward.settings.configuration import (
    EMBEDDED,
    NO_HEADER,
    Bind,
    Certificate,
    DoorTls,
    Listener,
    ManageListener,
    Management,
    Operator,
    Passage,
    PassageListener,
    Protocol,
    Upstream,
    Web,
    WebListener,
)
from mailward.settings.embedded import check_spoken
from mailward.settings.loops import check_loops
from mailward.settings.passages import read_passage_tls
from mailward.settings.proxies import LISTENER_PROXY_PROTOCOL, TRUSTED_NETWORKS
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    LISTENER_BACKEND,
    LISTENER_BIND,
    LISTENER_PROTOCOL,
)
from mailward.settings.tls import check_plaintext, read_door_tls
from mailward.settings.upkeepkeys import ADMIN_SECRET, ADMIN_USER
from mailward.settings.upstreams import BACKENDS, check_address, check_encryption, check_told
from mailward.settings.webkeys import LISTENER_CLIENT_HEADER, LISTENER_PATHS

_LISTENERS = "server.listener"
_PASSWORDS = ", where passwords would be sent unencrypted"
_WILDCARDS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 -- compared with, never bound


@dataclass(frozen=True, slots=True)
class Listeners:
    """The doors for mail, those nobody logs in at, those for requests, and for operators."""

    mail: tuple[Listener, ...]
    passages: tuple[PassageListener, ...]
    web: tuple[WebListener, ...]
    managers: tuple[ManageListener, ...]


def read_operator(reading: Reading) -> Operator | None:
    """Who may manage from afar, if there is a password for it."""
    user = reading.one(ADMIN_USER)
    secret = reading.optional(ADMIN_SECRET)
    return None if secret is None else Operator(user, secret)


def read_listeners(  # noqa: C901 -- one step for each kind of door
    reading: Reading,
    upstreams: Mapping[str, Upstream],
    certificates: Mapping[str, Certificate],
) -> Listeners:
    """All doors, each kind in the order of the file.

    One that is not whole is left out, with a fault.
    """
    listeners, passages, web, managers = [], [], [], []
    bound: list[tuple[str, Read[Bind]]] = []
    backends = {EMBEDDED, *reading.ids(BACKENDS)}
    for name in reading.ids(_LISTENERS):
        protocol = reading.optional(LISTENER_PROTOCOL, name)
        backend = reading.given(LISTENER_BACKEND, name)
        binds = _union(reading.members(LISTENER_BIND, name))
        addresses = tuple(bind.value for bind in binds)
        bound += ((name, bind) for bind in binds)
        proxied = _read_proxied(reading, name)
        told = reading.one(LISTENER_CLIENT_HEADER, name)
        paths = tuple(read.value for read in reading.members(LISTENER_PATHS, name))
        if protocol is not None:
            _refuse_web_keys(reading, name, protocol)
        if isinstance(protocol, Management):
            if _is_manager_whole(reading, name):
                tls = _read_http_tls(reading, name, certificates)
                allow_plaintext = check_plaintext(reading, name, binds, tls, _PASSWORDS)
                managers.append(
                    ManageListener(name, addresses, allow_plaintext, tls, proxied, told)
                )
            continue
        reading.require(_LISTENERS, name, LISTENER_PROTOCOL, LISTENER_BIND, LISTENER_BACKEND)
        if backend is not None and backend.value not in backends:
            reading.refuse(backend.given, _no_backend(backend.value, upstreams))
        if protocol is not None and backend is not None:
            check_address(reading, name, protocol, backend)
            check_told(reading, name, protocol, backend)
            check_encryption(reading, name, protocol, backend)
            check_spoken(reading, name, protocol, backend)
        if isinstance(protocol, Web):
            tls, allow_plaintext = _read_web_tls(
                reading, name, () if proxied else binds, certificates
            )
            if backend is not None and binds:
                web.append(
                    WebListener(
                        *(name, protocol, addresses, backend.value, allow_plaintext, tls, proxied),
                        client_header=told,
                        paths=paths,
                    )
                )
            continue
        if isinstance(protocol, Passage):
            tls, allow_plaintext = read_passage_tls(reading, name, protocol, binds, certificates)
            if backend is not None and binds:
                passages.append(
                    PassageListener(
                        name, protocol, addresses, backend.value, allow_plaintext, tls, proxied
                    )
                )
            continue
        tls = read_door_tls(reading, name, certificates)
        # Only those come whose proxy says so, and passwords only where it says that they have TLS.
        allow_plaintext = check_plaintext(reading, name, () if proxied else binds, tls, _PASSWORDS)
        if protocol is not None and backend is not None and binds:
            listeners.append(
                Listener(name, protocol, addresses, backend.value, allow_plaintext, tls, proxied)
            )
    _check_free(reading, bound)
    check_loops(reading, reading.ids(BACKENDS), bound)
    return Listeners(tuple(listeners), tuple(passages), tuple(web), tuple(managers))


def _read_http_tls(
    reading: Reading, name: str, certificates: Mapping[str, Certificate]
) -> DoorTls | None:
    """TLS from the first byte, or none: HTTP has no STARTTLS."""
    tls = read_door_tls(reading, name, certificates)
    return tls if tls is not None and tls.implicit else None


def _read_web_tls(
    reading: Reading,
    name: str,
    binds: Sequence[Read[Bind]],
    certificates: Mapping[str, Certificate],
) -> tuple[DoorTls | None, bool | None]:
    """How requests come encrypted, and whether credentials may come without."""
    tls = _read_http_tls(reading, name, certificates)
    # A proxy that says who comes also says whether he has TLS; without either he is refused.
    is_told = reading.one(LISTENER_CLIENT_HEADER, name) != NO_HEADER
    is_behind = is_told and bool(reading.all(TRUSTED_NETWORKS))
    return tls, check_plaintext(reading, name, () if is_behind else binds, tls, _PASSWORDS)


def _refuse_web_keys(
    reading: Reading, name: str, protocol: Protocol | Passage | Web | Management
) -> None:
    """Refuse what is said of requests to a listener that takes none of that kind."""
    jmap, manage = 'protocol = "jmap"', 'protocol = "manage"'
    for key, served, where in (
        (LISTENER_CLIENT_HEADER, (Web, Management), f"{jmap} or {manage}"),
        (LISTENER_PATHS, (Web,), jmap),
    ):
        if not isinstance(protocol, served):
            for given in reading.all(key, name):
                reading.refuse(given, f"has no use here: it is for a listener with {where}")


def _is_manager_whole(reading: Reading, name: str) -> bool:
    """Whether a manage listener has what it needs, and nothing that is for mail."""
    reading.require(_LISTENERS, name, LISTENER_BIND)
    for given in reading.all(LISTENER_BACKEND, name):
        reading.refuse(given, "a manage listener has no backend; leave it out")
    if not reading.all(ADMIN_SECRET):
        *_, protocol = reading.all(LISTENER_PROTOCOL, name)
        reading.refuse(
            protocol,
            "a manage listener needs management.admin.secret, the hash of a password; make one"
            " with: mailward hash-password",
        )
    return bool(reading.all(LISTENER_BIND, name))


def _read_proxied(reading: Reading, name: str) -> bool:
    """Whether a listener is for proxies; without a trusted one nobody could connect: a fault."""
    proxied = reading.one(LISTENER_PROXY_PROTOCOL, name)
    if proxied and not reading.all(TRUSTED_NETWORKS):
        *_, given = reading.all(LISTENER_PROXY_PROTOCOL, name)
        reading.refuse(
            given,
            "lets nobody connect but trusted proxies, and there are none: add"
            " server.proxy.trusted-networks with the addresses of yours",
        )
    return proxied


def _union(binds: Iterator[Read[Bind]]) -> list[Read[Bind]]:
    """Each bind once: the file and a stored key may say the same."""
    first: dict[Bind, Read[Bind]] = {}
    for read in binds:
        first.setdefault(read.value, read)
    return list(first.values())


def _check_free(reading: Reading, bound: list[tuple[str, Read[Bind]]]) -> None:
    """Refuse what is bound twice; where the file and a stored key collide, the stored one."""
    taken: dict[tuple[int, int], dict[str, str]] = {}  # by IP version and port: whose address
    for name, read in sorted(bound, key=lambda item: item[1].given.is_stored):
        bind = read.value
        if bind.port == 0:
            continue
        version = ip_address(bind.host).version
        others = taken.setdefault((version, bind.port), {})
        rival = _rival(bind.host, _WILDCARDS[version], others)
        if rival is not None:
            there = Bind(rival, bind.port)
            reading.refuse(read.given, f"listener {others[rival]} is bound to {there} already")
        others.setdefault(bind.host, name)


def _rival(host: str, wildcard: str, others: Mapping[str, str]) -> str | None:
    """The address among *others* that cannot be bound together with *host*, if there is one."""
    if host in others:
        return host
    # A wildcard takes the port of every address, so it collides with any other.
    if wildcard in others:
        return wildcard
    return next(iter(others), None) if host == wildcard else None


def _no_backend(name: str, upstreams: Mapping[str, Upstream]) -> str:
    known = f"known: {', '.join(upstreams)}" if upstreams else f"add [backend.{name}]"
    return f'there is no backend "{name}"; {known}'
