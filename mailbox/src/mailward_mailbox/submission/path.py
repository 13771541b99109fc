"""The addresses behind MAIL and RCPT, and the parameters that follow (RFC 5321 section 4.1)."""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_PATH_OCTETS = 512  # RFC 5321 section 4.5.3.1.3 asks for 256

_ATOM = rb"[^\x00-\x20\x7f\"<>@\\,;:()\[\]]+"
_QUOTED = rb"\"(?:[^\"\\\x00-\x1f\x7f]|\\[\x20-\x7e])*\""
_DOMAIN = rb"(?:[^\x00-\x2c\x2f\x3a-\x40\x5b-\x60\x7b-\x7f]+|\[[\x21-\x5a\x5e-\x7e]+\])"
# A route in front of the address is to be read, and left out (appendix C).
_PATH = re.compile(
    rb"(FROM|TO): *<(?:@[^:<>\x00-\x20]+:)?((?:" + _ATOM + rb"|" + _QUOTED + rb")(?:@" + _DOMAIN
    + rb")?)?>(?: +(.*))?\Z",
    re.IGNORECASE,
)  # fmt: skip
_PARAMETER = re.compile(rb"([A-Za-z0-9][A-Za-z0-9-]*)(?:=([\x21-\x3c\x3e-\x7e]+))?\Z")


class PathError(Exception):
    """What stands behind MAIL or RCPT breaks the grammar."""


@dataclass(frozen=True, slots=True)
class Path:
    """*address* is empty for ``<>``; *parameters* by their keywords in upper case."""

    address: bytes
    parameters: dict[bytes, bytes | None]


def read_path(keyword: bytes, argument: bytes) -> Path:
    """Read what stands behind the command, which *keyword* (FROM or TO) begins.

    >>> read_path(b"FROM", b"FROM:<a@example> SIZE=10")
    Path(address=b'a@example', parameters={b'SIZE': b'10'})

    Raises:
        PathError: it cannot be read.
    """
    found = _PATH.match(argument)
    if found is None or found[1].upper() != keyword:
        raise PathError
    address = found[2] or b""
    if len(address) > MAX_PATH_OCTETS:
        raise PathError
    parameters: dict[bytes, bytes | None] = {}
    for word in (found[3] or b"").split():
        parameter = _PARAMETER.match(word)
        if parameter is None or parameter[1].upper() in parameters:
            raise PathError
        parameters[parameter[1].upper()] = parameter[2]
    return Path(address, parameters)
