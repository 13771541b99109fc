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
    Web,
)
from mailward.settings.reading import Read, Reading
from mailward.settings.schema import (
    BACKEND_ADDRESS,
    BACKEND_ANSWER_TIMEOUT,
    BACKEND_CLIENT_ADDRESS,
    BACKEND_CONNECT_TIMEOUT,
    BACKEND_SECOND_OPINION,
    BACKEND_TLS,
    BACKEND_TLS_CA,
    BACKEND_TLS_SERVER_NAME,
    LISTENER_PROTOCOL,
)

BACKENDS = "backend"
Spoken = Protocol | Passage | Web
_TOLD_IN: Mapping[ClientAddress, set[Spoken]] = {
    ClientAddress.IMAP_ID: {Protocol.IMAP},
    ClientAddress.XCLIENT: {Protocol.SUBMISSION, Protocol.MANAGESIEVE, Passage.SMTP},
    ClientAddress.FORWARDED: {Web.JMAP},
}


def read_upstreams(reading: Reading) -> Mapping[str, Upstream]:
    """The mail servers by their ids; one that is not whole is left out, with a fault."""
    upstreams = {}
    for name in reading.ids(BACKENDS):
        address = reading.given(BACKEND_ADDRESS, name)
        scheme = "" if address is None else address.value.scheme
        tls = _read_tls(reading, name, scheme)
        if address is not None and address.value.path is not None:
            _check_named(reading, name, tls)
        client_address = reading.one(BACKEND_CLIENT_ADDRESS, name)
        connect_timeout = reading.one(BACKEND_CONNECT_TIMEOUT, name)
        answer_timeout = reading.one(BACKEND_ANSWER_TIMEOUT, name)
        reading.require(BACKENDS, name, BACKEND_ADDRESS)
        if address is not None:
            upstreams[name] = Upstream(
                name,
                address.value.host,
                address.value.port,
                client_address,
                connect_timeout,
                answer_timeout,
                tls,
                is_web=bool(scheme),
                second_opinion=reading.optional(BACKEND_SECOND_OPINION, name),
                path=address.value.path,
            )
    return MappingProxyType(upstreams)


def check_told(reading: Reading, name: str, spoken: Spoken, backend: Read[str]) -> None:
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


def check_address(reading: Reading, name: str, spoken: Spoken, backend: Read[str]) -> None:
    """Refuse a URL where no HTTP is spoken, and anything else where it is."""
    address = reading.given(BACKEND_ADDRESS, backend.value)
    if address is None or address.value.path is not None:
        return  # a Unix socket takes either
    if bool(address.value.scheme) == isinstance(spoken, Web):
        return
    given = (address.given, backend.given, *reading.all(LISTENER_PROTOCOL, name))
    form = "http://host:port" if isinstance(spoken, Web) else "host:port"
    reading.refuse(
        next((one for one in given if one.is_stored), address.given),
        f"{spoken.value}, which listener {name} speaks with backend {backend.value}, needs an"
        f" address like {form}: write that, or give the listener another backend",
    )


def check_encryption(reading: Reading, name: str, spoken: Spoken, backend: Read[str]) -> None:
    """Refuse STARTTLS to a backend that nothing is said to before the client speaks."""
    mode = reading.given(BACKEND_TLS, backend.value)
    has_none = spoken is Passage.TCP or isinstance(spoken, Web)
    if not has_none or mode is None or mode.value is not Encryption.STARTTLS:
        return
    given = (mode.given, backend.given, *reading.all(LISTENER_PROTOCOL, name))
    reading.refuse(
        next((one for one in given if one.is_stored), mode.given),
        f'tls = "starttls" cannot be said in {spoken.value}, which listener {name} speaks with'
        f' backend {backend.value}: use "implicit" or "none", or give the listener another backend',
    )


def _check_named(reading: Reading, name: str, tls: UpstreamTls) -> None:
    """Refuse TLS over a Unix socket without a name that the certificate has to be for."""
    mode = reading.given(BACKEND_TLS, name)
    if mode is None or tls.mode is Encryption.NONE or tls.server_name is not None:
        return
    reading.refuse(
        mode.given,
        f'tls = "{tls.mode.value}" over a Unix socket needs tls.server-name, the name in the mail'
        f" server's certificate; or leave out tls: what passes there leaves no machine",
    )


def _read_tls(reading: Reading, name: str, scheme: str) -> UpstreamTls:
    """How one mail server proves itself; proof that nobody would ask for is a fault."""
    mode = Encryption.IMPLICIT if scheme == "https" else reading.one(BACKEND_TLS, name)
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
