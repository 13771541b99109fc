"""ID with x-originating-ip, by which a webmail says who its client is (as Dovecot takes it)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

_ADDRESS_FIELD = b"x-originating-ip"
_PORT_FIELD = b"x-originating-port"
ADDRESS_FIELDS = frozenset({_ADDRESS_FIELD, _PORT_FIELD})
_ADDRESS = re.compile(rb"[0-9A-Fa-f:.]{2,45}\Z")
_PORT = re.compile(rb"[0-9]{1,5}\Z")
_MAX_PORT = 65_535


class IntroductionError(Exception):
    """An address that cannot be read."""


def read_introduction(
    parameters: Sequence[bytes],
) -> tuple[IPv4Address | IPv6Address, int | None] | None:
    """The client's address and port among the *parameters* of ID; ``None``: it is not told.

    >>> read_introduction([b"name", b"x", b"X-Originating-IP", b"192.0.2.9"])
    (IPv4Address('192.0.2.9'), None)

    Raises:
        IntroductionError: it is told, but no address, or more than once.
    """
    fields = [name.lower() for name in parameters[::2]]
    values = dict(zip(fields, parameters[1::2], strict=False))
    if _ADDRESS_FIELD not in values:
        return None
    address, port = values[_ADDRESS_FIELD], values.get(_PORT_FIELD, b"")
    if fields.count(_ADDRESS_FIELD) > 1 or not _ADDRESS.match(address):
        raise IntroductionError
    try:
        told = ip_address(address.decode("ascii"))
    except ValueError:
        raise IntroductionError from None
    # The port is for the backend's log: a wrong one is not worth a complaint.
    return told, int(port) if _PORT.match(port) and int(port) <= _MAX_PORT else None
