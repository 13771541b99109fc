"""The one message of OAUTHBEARER (RFC 7628) and of XOAUTH2, read and written.

Only what both ends need is carried: the name and the token. Where the client believes it is
connected to (``host``, ``port``) is between it and the door.
"""

from __future__ import annotations

import re

from mailward.wire.door import (
    MAX_LOGIN_OCTETS,
    MAX_TOKEN_OCTETS,
    BearerMechanism,
    BearerToken,
)
from mailward.wire.encoding import SASL_NAME, from_sasl_name, to_sasl_name
from mailward.wire.secret import Secret

MALFORMED = "That is no bearer token with its name"

_XOAUTH2 = re.compile(rb"user=(?P<name>[^\x00\x01]+)\x01auth=(?P<auth>[^\x01]*)\x01\x01\Z")
# Keys that nobody knows are to be passed over: RFC 7628 section 3.1.
_OAUTHBEARER = re.compile(
    rb"[ny],(?:a=(?P<name>%b))?,\x01(?P<pairs>(?:[A-Za-z]+=[\t\n\r\x20-\x7e]*\x01)+)\x01\Z"
    % SASL_NAME
)
# RFC 6750 section 2.1 allows less, and servers that hand out their own tokens more.
_AUTHORIZATION = re.compile(rb"bearer +(?P<token>[\x21-\x7e]+)\Z", re.IGNORECASE)


def read_bearer(mechanism: BearerMechanism, message: bytes) -> BearerToken | str:
    """The token in *message*, or what is wrong with it in fixed words."""
    found = _name_and_authorization(mechanism, message)
    if found is None:
        return MALFORMED
    name, authorization = found
    if len(name) > MAX_LOGIN_OCTETS:
        return "The login name is too long"
    bearer = _AUTHORIZATION.match(authorization)
    if bearer is None:
        return MALFORMED
    if len(bearer["token"]) > MAX_TOKEN_OCTETS:
        return "The token is too long"
    return BearerToken(mechanism, name, Secret(bearer["token"]))


def _name_and_authorization(
    mechanism: BearerMechanism, message: bytes
) -> tuple[bytes, bytes] | None:
    match mechanism:
        case BearerMechanism.XOAUTH2:
            found = _XOAUTH2.match(message)
            return None if found is None else (found["name"], found["auth"])
        case BearerMechanism.OAUTHBEARER:
            return _parts_of_oauthbearer(message)


def _parts_of_oauthbearer(message: bytes) -> tuple[bytes, bytes] | None:
    found = _OAUTHBEARER.match(message)
    if found is None:
        return None
    name = from_sasl_name(found["name"] or b"")
    pairs = [pair.partition(b"=")[::2] for pair in found["pairs"].split(b"\x01")[:-1]]
    authorizations = [value for key, value in pairs if key.lower() == b"auth"]
    # With two of them door and backend could each read another one.
    if name is None or len(authorizations) != 1:
        return None
    return name, authorizations[0]


def bearer_message(offered: BearerToken) -> bytes:
    """What a client of the same mechanism sends."""
    token = offered.token.reveal()
    match offered.mechanism:
        case BearerMechanism.XOAUTH2:
            return b"user=%b\x01auth=Bearer %b\x01\x01" % (offered.login, token)
        case BearerMechanism.OAUTHBEARER:
            name = b"a=" + to_sasl_name(offered.login) if offered.login else b""
            return b"n,%b,\x01auth=Bearer %b\x01\x01" % (name, token)


def after_error(mechanism: BearerMechanism) -> bytes:
    """What a client says to the challenge that tells it of an error, to hear the answer."""
    match mechanism:
        case BearerMechanism.XOAUTH2:
            return b""
        case BearerMechanism.OAUTHBEARER:
            return b"\x01"  # RFC 7628 section 3.2.3
