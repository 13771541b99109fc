"""Ways past the listeners: mail ports of this machine that other programs listen on.

A password that is tried there is neither counted nor refused, whatever is banned.
"""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address
from itertools import takewhile

from mailward.settings.configuration import Bind, Configuration, Protocol, Upstream

_PORTS = frozenset({110, 143, 465, 587, 993, 995, 4190})
_OLD_SIEVE_PORT = 2_000  # before RFC 5804; Debian 13 opens it beside 4190
_LISTENS = "0A"
_WORD_DIGITS = 8  # of an address, which is told in words of the machine's own order
_TOLD = 8


def listening(table: Iterable[str]) -> Iterator[Bind]:
    """The sockets that listen, of the lines of Linux' ``/proc/net/tcp`` or ``tcp6``.

    They come first there, so of the lines of connections, which may be many, one is read.

    >>> table = ["  sl  local_address rem_address   st", "  0: 00000000:008F 00000000:0000 0A"]
    >>> list(listening(table))
    [Bind(host='0.0.0.0', port=143)]
    """
    rows = (line.split() for line in table)
    sockets = (row for row in rows if len(row) > 3 and row[0].endswith(":"))  # noqa: PLR2004 -- a heading has no such
    for _, local, _, _, *_ in takewhile(lambda row: row[3] == _LISTENS, sockets):
        address, _, port = local.partition(":")
        yield Bind(str(_address(address)), int(port, 16))


def bypasses(
    configuration: Configuration,
    sockets: Iterable[Bind],
    ours: Collection[Bind],
    here: Collection[str],
) -> Iterator[str]:
    """A warning about those of *sockets* that lead past the listeners, if there are any.

    *ours* are sockets of this daemon besides those of *configuration*, *here* the backends that are
    known to be on this machine. Where no mail server is, no port is anybody's to close.
    """
    used = {door.backend for door in configuration.listeners}
    used |= {door.backend for door in configuration.passages}
    near = [
        upstream for name, upstream in configuration.upstreams.items() if name in used & {*here}
    ]
    if not near:
        return
    ports = _PORTS | {upstream.port for upstream in near if upstream.path is None}
    if any(
        door.protocol is Protocol.MANAGESIEVE and door.backend in here
        for door in configuration.listeners
    ):
        ports |= {_OLD_SIEVE_PORT}
    known = {bind for door in configuration.all_listeners for bind in door.binds} | {*ours}
    found = [
        bind
        for bind in dict.fromkeys(sockets)
        if bind.port in ports and bind not in known and _is_open(bind, near)
    ]
    if found:
        more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
        yield (
            f"other programs of this machine take mail connections at"
            f" {', '.join(map(str, found[:_TOLD]))}{more}, past mailward: passwords tried there are"
            " neither counted nor refused; let them listen on 127.0.0.1 alone, or not at all"
            " (Dovecot: port = 0 in that inet_listener; Postfix: that line of master.cf)"
        )


def _is_open(bind: Bind, near: Iterable[Upstream]) -> bool:
    """Whether others than this machine reach *bind*, where no backend is meant to be."""
    address = _folded(ip_address(bind.host))
    is_meant = any((upstream.host, upstream.port) == (bind.host, bind.port) for upstream in near)
    return not address.is_loopback and not is_meant


def _folded(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _address(digits: str) -> IPv4Address | IPv6Address:
    words = (digits[at : at + _WORD_DIGITS] for at in range(0, len(digits), _WORD_DIGITS))
    octets = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    return IPv4Address(octets) if len(octets) == 4 else IPv6Address(octets)  # noqa: PLR2004 -- octets of IPv4
