"""The credentials of a request: Basic (RFC 7617) and Bearer (RFC 6750), one pair at a time."""

from __future__ import annotations

import binascii
import re
from base64 import b64decode, b64encode
from dataclasses import dataclass

from mailward.wire.http.head import Fields, HttpError
from mailward.wire.secret import Secret

MAX_LOGIN_OCTETS = 1_024
MAX_PASSWORD_OCTETS = 4_096
MAX_TOKEN_OCTETS = 16_384

_TOKEN68 = re.compile(rb"[A-Za-z0-9\-._~+/]+=*")
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """A login and its password."""

    login: bytes
    password: Secret

    def field(self) -> bytes:
        """Written anew: the backend reads the name that was counted."""
        return b"Basic " + b64encode(self.login + b":" + self.password.reveal())


@dataclass(frozen=True, slots=True)
class BearerCredentials:
    """A token; whose it is the backend knows."""

    token: Secret

    def field(self) -> bytes:
        return b"Bearer " + self.token.reveal()


@dataclass(frozen=True, slots=True)
class OtherScheme:
    """A scheme that is not taken here: Digest, Negotiate."""


HttpCredentials = BasicCredentials | BearerCredentials


def read_authorization(fields: Fields) -> HttpCredentials | OtherScheme | None:
    """The credentials of a request, ``None`` where it has none.

    Raises:
        HttpError: there are two, or they cannot be read.
    """
    value = fields.one("authorization")
    if value is None:
        return None
    scheme, _, rest = value.partition(b" ")
    token = rest.strip(b" ")
    match scheme.lower():
        case b"basic":
            return _basic(token)
        case b"bearer":
            if len(token) > MAX_TOKEN_OCTETS or not _TOKEN68.fullmatch(token):
                raise HttpError("this is no bearer token")
            return BearerCredentials(Secret(token))
        case _:
            return OtherScheme()


def _basic(token: bytes) -> BasicCredentials:
    try:
        pair = b64decode(token, validate=True)
    except binascii.Error:
        raise HttpError("these credentials are no base64") from None
    login, colon, password = pair.partition(b":")
    if not colon or _CONTROL.search(pair):
        raise HttpError("these credentials are no login and password")
    if not login or len(login) > MAX_LOGIN_OCTETS or len(password) > MAX_PASSWORD_OCTETS:
        raise HttpError("these credentials are too long, or name nobody")
    return BasicCredentials(login, Secret(password))
