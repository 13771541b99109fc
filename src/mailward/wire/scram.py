"""The messages of SCRAM (RFC 5802 section 7; SHA-256: RFC 7677), checked, never changed.

Passed on verbatim, since the proof covers every octet of them. Nobody between client and server
can check a proof; what can be checked is that both are to read the same name and the same nonce.
Extensions and channel binding are refused: the channel ends at the door.
"""

from __future__ import annotations

import re
from base64 import b64encode
from dataclasses import dataclass

from mailward.wire.door import MAX_LOGIN_OCTETS, ScramMechanism, ScramOpening, ScramProof
from mailward.wire.encoding import SASL_NAME, decode, from_sasl_name
from mailward.wire.secret import Secret

MAX_NONCE_OCTETS = 512  # clients send 24 to 64
MAX_SERVER_NONCE_OCTETS = 2 * MAX_NONCE_OCTETS  # the client's and the server's own behind it
MAX_ITERATIONS = 1_000_000  # a client computes as long as it is told to

_NONCE = rb"[\x21-\x2b\x2d-\x7e]+"
_BASE64 = rb"[A-Za-z0-9+/]+=*"
# The flag "p" asks for channel binding; "m=" is an extension that has to be understood.
_CLIENT_FIRST = re.compile(
    rb"(?P<header>[ny],(?:a=(?P<authorization>%b))?,)n=(?P<name>%b),r=(?P<nonce>%b)\Z"
    % (SASL_NAME, SASL_NAME, _NONCE)
)
_CLIENT_FINAL = re.compile(
    rb"c=(?P<binding>%b),r=(?P<nonce>%b),p=(?P<proof>%b)\Z" % (_BASE64, _NONCE, _BASE64)
)
_EXTENSIONS = rb"(?:,[A-Za-z]=[^\x00,]+)*"
_SERVER_FIRST = re.compile(
    rb"r=(?P<nonce>%b),s=(?P<salt>%b),i=(?P<iterations>[1-9][0-9]{0,6})%b\Z"
    % (_NONCE, _BASE64, _EXTENSIONS)
)
_SERVER_SIGNATURE = re.compile(rb"v=(?P<signature>%b)%b\Z" % (_BASE64, _EXTENSIONS))
_SERVER_ERROR = re.compile(rb"e=[^\x00,]+%b\Z" % _EXTENSIONS)
_DIGEST_OCTETS = {ScramMechanism.SHA_1: 20, ScramMechanism.SHA_256: 32}


@dataclass(frozen=True, slots=True)
class Fault:
    """A message that breaks the grammar. *why* is in fixed words."""

    why: str


def read_client_first(mechanism: ScramMechanism, text: bytes) -> ScramOpening | Fault:
    """The client's first message; its header says ``n`` or ``y``: no channel binding."""
    if text.startswith(b"p="):
        return Fault("Channel binding is not available here")
    found = _CLIENT_FIRST.match(text)
    if found is None:
        return Fault("That is no SCRAM message")
    login = from_sasl_name(found["name"])
    authorization = from_sasl_name(found["authorization"] or b"")
    if login is None or authorization is None:
        return Fault("A name is not UTF-8")
    if max(len(login), len(authorization)) > MAX_LOGIN_OCTETS:
        return Fault("The login name is too long")
    if len(found["nonce"]) > MAX_NONCE_OCTETS:
        return Fault("The nonce is too long")
    return ScramOpening(mechanism, login, found["nonce"], text, authorization)


def with_nonce(opening: ScramOpening, nonce: bytes) -> ScramOpening:
    """*opening* as another client of the same login would say it, whose nonce is *nonce*."""
    # A comma inside a name is written otherwise, and a nonce has none.
    before = opening.text[: opening.text.rindex(b",r=")]
    return ScramOpening(opening.mechanism, opening.login, nonce, before + b",r=" + nonce)


def server_nonce(opening: ScramOpening, text: bytes) -> bytes | None:
    """The nonce in the server's first message; ``None`` where it is no answer to *opening*."""
    found = _SERVER_FIRST.match(text)
    if found is None or decode(found["salt"]) is None or int(found["iterations"]) > MAX_ITERATIONS:
        return None
    nonce: bytes = found["nonce"]
    is_longer = len(opening.nonce) < len(nonce) <= MAX_SERVER_NONCE_OCTETS
    return nonce if is_longer and nonce.startswith(opening.nonce) else None


def read_client_final(opening: ScramOpening, nonce: bytes, text: bytes) -> ScramProof | Fault:
    """The client's last message, which has to repeat its header and the server's *nonce*."""
    found = _CLIENT_FINAL.match(text)
    if found is None:
        return Fault("That is no SCRAM message")
    header = opening.text[: opening.text.index(b",n=") + 1]
    if found["binding"] != b64encode(header):
        return Fault("The header is not the first message's")
    if found["nonce"] != nonce:
        return Fault("The nonce is not the server's")
    if len(decode(found["proof"]) or b"") != _DIGEST_OCTETS[opening.mechanism]:
        return Fault("The proof has not its length")
    return ScramProof(Secret(text))


def is_signature(mechanism: ScramMechanism, text: bytes) -> bool:
    """Whether the server's last message is ``v=``: both ends know the password."""
    found = _SERVER_SIGNATURE.match(text)
    return found is not None and (
        len(decode(found["signature"]) or b"") == _DIGEST_OCTETS[mechanism]
    )


def is_error(text: bytes) -> bool:
    """Whether the server's message is ``e=``; what it means says the answer that follows."""
    return _SERVER_ERROR.match(text) is not None
