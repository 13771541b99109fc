"""What else on this machine takes mail connections, as the system tells it."""

from __future__ import annotations

import socket
from collections.abc import Collection, Iterator
from contextlib import suppress
from ipaddress import ip_address
from pathlib import Path

from mailward.settings.bypasses import bypasses, listening
from mailward.settings.configuration import Bind, Configuration
from mailward.settings.loops import hosts_of

# Of this process: the sandbox of the service shows no other part of /proc.
_TABLES = (Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6"))


def neighbours(configuration: Configuration, ours: Collection[Bind] = ()) -> list[str]:
    """Warnings about ways past the listeners; *ours* are more sockets of this daemon.

    Where the system does not tell there are none.
    """
    here = {
        name
        for name, upstream in configuration.upstreams.items()
        if any(_is_near(host) for host in hosts_of(upstream.host))
    }
    return list(bypasses(configuration, _sockets(), ours, here)) if here else []


def is_here(address: str) -> bool:
    """Whether *address* is one of this machine: a datagram socket can be bound to it."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        return True
    return False


def _is_near(host: str) -> bool:
    """Whether *host* is this machine; a name is not looked up, which could take long."""
    with suppress(ValueError):
        return ip_address(host).is_loopback or is_here(host)
    return False


def _sockets() -> Iterator[Bind]:
    for path in _TABLES:
        with suppress(OSError), path.open(encoding="ascii") as table:
            yield from listening(table)
