"""The mail servers behind the doors: where they are, how they prove it, what they are told."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from mailward.settings.configuration import (
    ClientAddress,
    Encryption,
    Passage,
    Protocol,
    Upstream,
    UpstreamTls,
)
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    BACKEND_ADDRESS,
    BACKEND_ANSWER_TIMEOUT,
    BACKEND_CLIENT_ADDRESS,
    BACKEND_CONNECT_TIMEOUT,
    BACKEND_TLS,
    BACKEND_TLS_CA,
    BACKEND_TLS_SERVER_NAME,
    LISTENER_PROTOCOL,
)

BACKENDS = "backend"
_TOLD_IN: Mapping[ClientAddress, set[Protocol | Passage]] = {
    ClientAddress.IMAP_ID: {Protocol.IMAP},
    ClientAddress.XCLIENT: {Protocol.SUBMISSION, Protocol.MANAGESIEVE, Passage.SMTP},
}


def read_upstreams(reading: Reading) -> Mapping[str, Upstream]:
    """The mail servers by their ids; one that is not whole is left out, with a fault."""
    upstreams = {}
    for name in reading.ids(BACKENDS):
        address = reading.given(BACKEND_ADDRESS, name)
        tls = _read_tls(reading, name)
        client_address = reading.one(BACKEND_CLIENT_ADDRESS, name)
        connect_timeout = reading.one(BACKEND_CONNECT_TIMEOUT, name)
        answer_timeout = reading.one(BACKEND_ANSWER_TIMEOUT, name)
        reading.require(BACKENDS, name, BACKEND_ADDRESS)
        if address is not None:
            host, port = address.value
            upstreams[name] = Upstream(
                name, host, port, client_address, connect_timeout, answer_timeout, tls
            )
    return MappingProxyType(upstreams)


def check_told(reading: Reading, name: str, spoken: Protocol | Passage, backend: Read[str]) -> None:
    """Refuse a way of telling the client's address that the listener's protocol does not have."""
    told = reading.given(BACKEND_CLIENT_ADDRESS, backend.value)
    if told is None or spoken in _TOLD_IN.get(told.value, {spoken}):
        return
    # A stored key is what has to go, whichever of the three it is.
    given = (told.given, backend.given, *reading.all(LISTENER_PROTOCOL, name))
    reading.refuse(
        next((one for one in given if one.is_stored), told.given),
        f'client-address = "{told.value.value}" cannot be told in {spoken.value}, which'
        f" listener {name} speaks with backend {backend.value}:"
        ' use "proxy-v2", or give the listener another backend',
    )


def check_encryption(
    reading: Reading, name: str, spoken: Protocol | Passage, backend: Read[str]
) -> None:
    """Refuse STARTTLS to a backend that nothing is said to before the client speaks."""
    mode = reading.given(BACKEND_TLS, backend.value)
    if spoken is not Passage.TCP or mode is None or mode.value is not Encryption.STARTTLS:
        return
    given = (mode.given, backend.given, *reading.all(LISTENER_PROTOCOL, name))
    reading.refuse(
        next((one for one in given if one.is_stored), mode.given),
        f'tls = "starttls" cannot be said in tcp, which listener {name} speaks with backend'
        f' {backend.value}: use "implicit" or "none", or give the listener another backend',
    )


def _read_tls(reading: Reading, name: str) -> UpstreamTls:
    """How one mail server proves itself; proof that nobody would ask for is a fault."""
    mode = reading.one(BACKEND_TLS, name)
    if mode is Encryption.NONE:
        for key in (BACKEND_TLS_CA, BACKEND_TLS_SERVER_NAME):
            for given in reading.all(key, name):
                reading.refuse(
                    given,
                    f'has no use while backend.{name}.tls is "none": make it "starttls" or'
                    ' "implicit" (in the file as mode, in the same table)',
                )
    return UpstreamTls(
        mode,
        reading.optional(BACKEND_TLS_CA, name),
        reading.optional(BACKEND_TLS_SERVER_NAME, name),
    )
