"""The listeners and the mail servers behind them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from types import MappingProxyType

from mailward.settings.configuration import Bind, Listener, Upstream
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    BACKEND_ADDRESS,
    BACKEND_ANSWER_TIMEOUT,
    BACKEND_CLIENT_ADDRESS,
    BACKEND_CONNECT_TIMEOUT,
    BACKEND_TLS,
    LISTENER_ALLOW_PLAINTEXT,
    LISTENER_BACKEND,
    LISTENER_BIND,
    LISTENER_PROTOCOL,
    Key,
)

_LISTENERS = "server.listener"
_BACKENDS = "backend"
_WILDCARDS = {4: "0.0.0.0", 6: "::"}  # noqa: S104 -- compared with, never bound


def read_upstreams(reading: Reading) -> Mapping[str, Upstream]:
    """The mail servers by their ids; one that is not whole is left out, with a fault."""
    upstreams = {}
    for name in reading.ids(_BACKENDS):
        address = reading.given(BACKEND_ADDRESS, name)
        reading.one(BACKEND_TLS, name)  # its one value changes nothing, a wrong one is a fault
        client_address = reading.one(BACKEND_CLIENT_ADDRESS, name)
        connect_timeout = reading.one(BACKEND_CONNECT_TIMEOUT, name)
        answer_timeout = reading.one(BACKEND_ANSWER_TIMEOUT, name)
        _require(reading, _BACKENDS, name, BACKEND_ADDRESS)
        if address is not None:
            host, port = address.value
            upstreams[name] = Upstream(
                name, host, port, client_address, connect_timeout, answer_timeout
            )
    return MappingProxyType(upstreams)


def read_listeners(reading: Reading, upstreams: Mapping[str, Upstream]) -> tuple[Listener, ...]:
    """The doors in the order of the file; one that is not whole is left out, with a fault."""
    listeners = []
    bound: list[tuple[str, Read[Bind]]] = []
    backends = set(reading.ids(_BACKENDS))
    for name in reading.ids(_LISTENERS):
        protocol = reading.given(LISTENER_PROTOCOL, name)
        backend = reading.given(LISTENER_BACKEND, name)
        binds = _union(reading.members(LISTENER_BIND, name))
        bound += ((name, bind) for bind in binds)
        _require(reading, _LISTENERS, name, LISTENER_PROTOCOL, LISTENER_BIND, LISTENER_BACKEND)
        allow_plaintext = _check_plaintext(reading, name, binds)
        if backend is not None and backend.value not in backends:
            reading.refuse(backend.given, _no_backend(backend.value, upstreams))
        if protocol is not None and backend is not None and binds:
            addresses = tuple(bind.value for bind in binds)
            listeners.append(
                Listener(name, protocol.value, addresses, backend.value, allow_plaintext)
            )
    _check_free(reading, bound)
    return tuple(listeners)


def _require(reading: Reading, table: str, name: str, *keys: Key[object]) -> None:
    missing = [key for key in keys if not reading.all(key, name)]
    if missing:
        wanted = "; ".join(f"{key.name} ({key.takes})" for key in missing)
        reading.refuse_all(table, name, f"is not whole: it needs {wanted}")


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


def _check_plaintext(reading: Reading, name: str, binds: list[Read[Bind]]) -> bool:
    """Whether passwords may come unencrypted; where they would, but may not, is a fault."""
    read = reading.given(LISTENER_ALLOW_PLAINTEXT, name)
    if read is not None and read.value:
        return True
    if read is None and reading.all(LISTENER_ALLOW_PLAINTEXT, name):
        return False  # it was set to nonsense, which is a fault of its own
    for bind in binds:
        if not ip_address(bind.value.host).is_loopback:
            # A stored "false" is what has to go where the file said "true".
            stored = read is not None and read.given.is_stored
            reading.refuse(
                read.given if read is not None and stored else bind.given,
                f"{bind.value} can be reached over the network, where passwords would be sent"
                " unencrypted: there is no TLS yet, so bind 127.0.0.1 or [::1], or set"
                " allow-plaintext = true",
            )
    return False


def _no_backend(name: str, upstreams: Mapping[str, Upstream]) -> str:
    known = f"known: {', '.join(upstreams)}" if upstreams else f"add [backend.{name}]"
    return f'there is no backend "{name}"; {known}'
