"""One value's text to the value: a function for each kind of value that a key can take.

Each raises a :class:`ValueError` of the family in :data:`VALUE_ERRORS` with a message that quotes
the text and says what is taken instead.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum, unique
from ipaddress import IPv6Network
from typing import TypeVar

from mailward.rules.addresses import (
    NAT64_PREFIX_BITS,
    AddressError,
    network_name,
    parse_address,
    parse_network,
)
from mailward.rules.limits import LimitError, format_period, parse_limit, parse_period
from mailward.rules.logins import domain_a_labels, fold_text, operator_name_from_text
from mailward.rules.model import Limit
from mailward.rules.policy import BanTerm, Term
from mailward.rules.ranges import parse_networks, range_name
from mailward.settings.configuration import (
    MAX_SOCKET_PATH_OCTETS,
    UNIX,
    Bind,
    Management,
    Passage,
    Protocol,
    Web,
)
from mailward.settings.errors import WrongValueError

VALUE_ERRORS = (AddressError, LimitError, WrongValueError)

E = TypeVar("E", bound=Enum)

_MAX_PORT = 65_535
_MAX_DOMAIN_OCTETS = 253  # RFC 1035 section 2.3.4: 255 octets on the wire
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?", re.ASCII)
_HOST_AND_PORT = re.compile(r"(?:\[([^\[\]]*)\]|([^\[\]:/]*)):([0-9]{1,5})", re.ASCII)
_WEB_PORTS = {"http": 80, "https": 443}
_LOCALHOST = "localhost"  # what a mail server behind a Unix socket is called over HTTP
_ENDS_WITH_PORT = re.compile(r":[0-9]+$", re.ASCII)
_MAX_USER = 64
_ARGON2ID = re.compile(
    r"\$argon2id\$v=19\$m=([0-9]{1,8}),t=([0-9]{1,3}),p=([0-9]{1,2})"
    r"\$[A-Za-z0-9+/]{11,88}\$[A-Za-z0-9+/]{22,88}",
    re.ASCII,
)
_MAX_MEMORY_KIB = 1_048_576  # 1 GiB; RFC 9106 section 4 recommends 64 MiB to 2 GiB
_MAX_PASSES = 20
_MAX_LANES = 16
_OCTETS = re.compile(r"([0-9]{1,9}) ?([kmgt]b)", re.ASCII | re.IGNORECASE)
_UNITS = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_LEAST_OCTETS, _MOST_OCTETS = 10**6, 10**15
_WHOLE_NUMBER = re.compile(r"[0-9]{1,12}", re.ASCII)


@unique
class Off(Enum):
    """Instead of a limit: nothing is counted or banned."""

    OFF = "none"


def limit_or_off(text: str) -> Limit | Off:
    if text.strip().casefold() in {"none", "false"}:
        return Off.OFF
    return parse_limit(text)


def ban_term(text: str) -> BanTerm:
    """``never`` (until lifted) or a period."""
    if text.strip().casefold() == Term.UNTIL_LIFTED.value:
        return Term.UNTIL_LIFTED
    return parse_period(text)


def login_ban_term(text: str) -> BanTerm:
    """``limit`` (until the window empties), ``never`` (until lifted) or a period."""
    if text.strip().casefold() == Term.UNTIL_WINDOW_EMPTIES.value:
        return Term.UNTIL_WINDOW_EMPTIES
    return ban_term(text)


def period_up_to(longest: timedelta) -> Callable[[str], timedelta]:
    def read(text: str) -> timedelta:
        return parse_period(text, longest=longest)

    read.__doc__ = f"A period of at most {format_period(longest)}."
    return read


def yes_or_no(text: str) -> bool:
    match text:
        case "true":
            return True
        case "false":
            return False
        case _:
            raise WrongValueError(f'"{text}" is neither true nor false')


def whole_number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if _WHOLE_NUMBER.fullmatch(text) is None or not least <= int(text) <= most:
            raise WrongValueError(f'"{text}" is no number from {least} to {most}')
        return int(text)

    read.__doc__ = f"A number from {least} to {most}."
    return read


def one_of(kind: type[E]) -> Callable[[str], E]:
    """A reader for the values of an enum."""
    names = [str(member.value) for member in kind]

    def read(text: str) -> E:
        _check_name(text, names)
        return kind(text)

    return read


def listener_protocol(text: str) -> Protocol | Passage | Web | Management:
    """What a listener speaks: mail, whatever passes, HTTP, or with operators."""
    kinds: tuple[type[Protocol | Passage | Web | Management], ...] = (
        *(Protocol, Passage, Web, Management),
    )
    members = {str(member.value): member for kind in kinds for member in kind}
    _check_name(text, list(members))
    return members[text]


def operator_user(text: str) -> str:
    """A user name as HTTP Basic can carry it (RFC 7617 section 2: no colon, no controls)."""
    is_name = text == text.strip() and text.isprintable() and ":" not in text
    if not is_name or not 0 < len(text) <= _MAX_USER:
        raise WrongValueError(
            f'"{text}" is no user name; use 1 to {_MAX_USER} printable characters, but no colon'
        )
    return text


def banned_operator(text: str) -> str:
    """The name of an operator as it is counted."""
    name = operator_name_from_text(text)
    if name is None:
        raise WrongValueError(f'"{text}" is no name of an operator')
    return name


def password_hash(text: str) -> str:
    """An argon2id hash in the PHC string format, of bearable cost; never quoted: it is secret."""
    match = _ARGON2ID.fullmatch(text)
    if match is None:
        raise WrongValueError(
            "this is no argon2id hash ($argon2id$v=19$...); make one with: mailward hash-password"
        )
    memory_kib, passes, lanes = (int(part) for part in match.groups())
    if memory_kib > _MAX_MEMORY_KIB or passes > _MAX_PASSES or not 1 <= lanes <= _MAX_LANES:
        raise WrongValueError(
            "this argon2id hash costs too much: every wrong guess would cost as much;"
            " make one with: mailward hash-password"
        )
    return text


def network_text(text: str) -> str:
    """The one spelling of a network, as its key has it."""
    return network_name(parse_network(text))


def networks_text(text: str) -> str:
    """The same for a network or a range, which stays one key."""
    networks = parse_networks(text)
    return range_name(text) if "-" in text else network_name(networks[0])


def nat64_prefix(text: str) -> IPv6Network:
    network = parse_network(text)
    if not isinstance(network, IPv6Network) or network.prefixlen != NAT64_PREFIX_BITS:
        raise WrongValueError(f'"{text}" is no IPv6 network of length /{NAT64_PREFIX_BITS}')
    return network


_IN_DOMAINS = ".-_"


def domain(text: str) -> str:
    """A domain in A-labels."""
    name = domain_a_labels(fold_text(text)) if len(text) <= _MAX_DOMAIN_OCTETS else ""
    if len(name) > _MAX_DOMAIN_OCTETS or not all(map(_LABEL.fullmatch, name.split("."))):
        raise WrongValueError(f'"{text}" is no domain name')
    return name


def separator(text: str) -> str:
    if len(text) != 1 or not "!" <= text <= "~" or text.isalnum() or text == "@":
        raise WrongValueError(
            f'"{text}" is no separator; use one ASCII character that is no letter, digit or "@"'
        )
    return text


def detail_separator(text: str) -> str:
    if separator(text) in _IN_DOMAINS:
        raise WrongValueError(
            f'"{text}" stands in names of domains; use another character, like "+"'
        )
    return text


def translation(text: str) -> str:
    """Pairs of characters, from and to, as in Dovecot's auth_username_translation."""
    befores, afters = text[::2], text[1::2]
    if not text or len(befores) != len(afters) or not all("!" <= char <= "~" for char in text):
        raise WrongValueError(
            f'"{text}" is no list of pairs; write visible ASCII characters, from and to: "%@"'
        )
    for before, after in zip(befores, afters, strict=True):
        if before.isalnum() or before in f"@{_IN_DOMAINS}":
            raise WrongValueError(f'"{text}" maps "{before}", which stands in names and domains')
        if befores.count(before) > 1:
            raise WrongValueError(f'"{text}" maps "{before}" twice')
        if after in befores:
            raise WrongValueError(f'"{text}" maps "{before}" to "{after}", which is mapped itself')
    return text.lower()


def bind(text: str) -> Bind:
    """``address:port``; port 0 lets the system choose."""
    host, port = _host_and_port(text, least_port=0)
    try:
        return Bind(str(parse_address(host)), port)
    except AddressError as error:
        raise WrongValueError(
            f'{error}; write one of this machine, "127.0.0.1:{port}" or "[::1]:{port}" for itself'
            f' alone, "[::]:{port}" and "0.0.0.0:{port}" for everybody'
        ) from None


@dataclass(frozen=True, slots=True)
class BackendAddress:
    """Where a mail server is. *scheme* is that of a URL, empty where it was none.

    With *path*, that of a Unix socket, *host* and *port* say nothing.
    """

    host: str
    port: int
    scheme: str = ""
    path: str | None = None


def backend_address(text: str) -> BackendAddress:
    """``host:port``, where the host is an address or a name; behind a scheme for HTTP.

    Or ``unix:path``.
    """
    if text.startswith(UNIX):
        return BackendAddress(_LOCALHOST, 0, path=_socket_path(text))
    scheme, separator, rest = text.partition("://")
    if separator and scheme not in _WEB_PORTS:
        raise WrongValueError(f'"{text}" is no address; write "http://127.0.0.1:8080"')
    where = rest.removesuffix("/") if separator else text
    if separator and not _ENDS_WITH_PORT.search(where):
        where = f"{where}:{_WEB_PORTS[scheme]}"
    host, port = _host_and_port(where, least_port=1)
    return BackendAddress(host_name(host), port, scheme if separator else "")


def _socket_path(text: str) -> str:
    found = path(text.removeprefix(UNIX))
    if why := why_no_socket_path(len(found.encode(errors="surrogateescape"))):
        raise WrongValueError(why)
    return found


def why_no_socket_path(octets: int) -> str:
    """Why no Unix socket has a path of so many *octets*; empty where one can."""
    if octets <= MAX_SOCKET_PATH_OCTETS:
        return ""
    return (
        f"the path of a Unix socket has at most {MAX_SOCKET_PATH_OCTETS} octets, this one has"
        f" {octets}: let the mail server listen at a shorter path"
    )


def host_name(text: str) -> str:
    """An address or a name."""
    try:
        return str(parse_address(text))
    except AddressError:
        # All digits and dots: a mistyped address, not a name that some resolver may know.
        if ":" in text or "%" in text or not text.strip("0123456789."):
            raise
    return domain(text)


def relay_address(text: str) -> tuple[str, int]:
    """Where a mail server takes mail: a name or an address, and a port."""
    host, port = _host_and_port(text, least_port=1)
    return host_name(host), port


def octets_or_off(text: str) -> int | Off:
    """A number of octets.

    >>> octets_or_off("1GB")
    1000000000
    """
    if text.strip().casefold() == "none":
        return Off.OFF
    match = _OCTETS.fullmatch(text.strip())
    octets = 0 if match is None else int(match[1]) * _UNITS[match[2].casefold()]
    if not _LEAST_OCTETS <= octets <= _MOST_OCTETS:
        raise WrongValueError(
            f'"{text}" is no number of octets from 1MB to 1000TB; write "500MB", "1GB" or "none"'
        )
    return octets


def path(text: str) -> str:
    if not text or "\0" in text:
        raise WrongValueError(f'"{text}" is no path')
    return text


def as_written(text: str) -> str:
    """Any text: there is nothing to check, or not yet."""
    return text


def _host_and_port(text: str, *, least_port: int) -> tuple[str, int]:
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or (match[1] is not None and ":" not in match[1]):
        raise WrongValueError(
            f'"{text}" is no address with a port; write "127.0.0.1:143" or "[::1]:143"'
        )
    port = int(match[3])
    if not least_port <= port <= _MAX_PORT:
        raise WrongValueError(f'"{text}": the port must be from {least_port} to {_MAX_PORT}')
    return match[1] or match[2], port


def _check_name(text: str, names: list[str]) -> None:
    if text not in names:
        raise WrongValueError(f'"{text}" is unknown; use {_listed(names)}')


def _listed(names: list[str]) -> str:
    *most, last = names
    return f"{', '.join(most)} or {last}" if most else last
