"""Backends that lead back to a listener of this daemon: one login would make more without end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import ip_address
from posixpath import normpath

from mailward.settings.configuration import Bind
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import BACKEND_ADDRESS
from mailward.settings.upkeepkeys import MANAGEMENT_SOCKET

_LOCAL_NAMES = {"localhost", "localhost.localdomain", "ip6-localhost", "ip6-loopback"}
_LOOPBACK = ("127.0.0.1", "::1")


def check_loops(
    reading: Reading, backends: Iterable[str], bound: Sequence[tuple[str, Read[Bind]]]
) -> None:
    """Refuse a backend whose address is where a listener listens; the stored one of the two.

    Names other than localhost are not looked up here: see :func:`meets` for what they lead to.
    """
    socket = reading.one(MANAGEMENT_SOCKET)
    for name in backends:
        address = reading.given(BACKEND_ADDRESS, name)
        if address is None:
            continue
        if address.value.path is not None:
            if normpath(address.value.path) == normpath(socket):
                reading.refuse(address.given, why_our_socket(name))
            continue
        for host in hosts_of(address.value.host):
            found = next(
                (item for item in bound if meets(item[1].value, host, address.value.port)), None
            )
            if found is not None:
                listener, bind = found
                to_blame = (address.given, bind.given)
                reading.refuse(
                    next((given for given in to_blame if given.is_stored), address.given),
                    why_loop(listener, str(bind.value), name),
                )
                break


def why_loop(listener: str, bind: str, backend: str) -> str:
    return (
        f"listener {listener} listens on {bind}, so each login would lead back to this mailward:"
        f" set backend.{backend}.address to where the mail server itself listens"
    )


def why_our_socket(backend: str) -> str:
    return (
        f"this is the management socket of this mailward: set backend.{backend}.address to where"
        " the mail server itself listens"
    )


def hosts_of(host: str) -> tuple[str, ...]:
    """The addresses that *host* is known to mean; a name that has to be looked up is itself.

    >>> hosts_of("localhost")
    ('127.0.0.1', '::1')
    """
    name = host.rstrip(".").lower()
    if name in _LOCAL_NAMES or name.endswith(".localhost"):  # RFC 6761 section 6.3
        return _LOOPBACK
    return (host,)


def meets(bind: Bind, host: str, port: int, *, is_here: bool = False) -> bool:
    """Whether a connection to *host* (an address) and *port* arrives at *bind*.

    *is_here* says that *host* is known to be an address of this machine; loopback always is.

    >>> meets(Bind("0.0.0.0", 143), "127.0.0.1", 143)
    True
    >>> meets(Bind("127.0.0.1", 143), "127.0.0.2", 143)
    False
    """
    if bind.port != port:
        return False
    try:
        there = ip_address(host)
    except ValueError:
        return False  # a name
    here = ip_address(bind.host)
    if here.version != there.version:
        return False
    if there.is_unspecified:  # Linux connects it to its own loopback address
        return here.is_unspecified or str(here) in _LOOPBACK
    return here == there or (here.is_unspecified and (is_here or there.is_loopback))
