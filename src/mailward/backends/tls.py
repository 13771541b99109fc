"""TLS towards the mail servers: who is trusted, and what a handshake that failed means.

The server is always asked to prove who it is; there is no switch for that.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable

from mailward.settings.configuration import Encryption, Upstream, UpstreamTls
from mailward.settings.errors import Fault, SettingsError

SHUTDOWN_SECONDS = 5.0  # a server that does not say goodbye by then is left without

# OpenSSL's numbers for what is wrong with a certificate, x509_vfy.h.
_NOT_YET_VALID = 9
_EXPIRED = 10
_UNKNOWN_AUTHORITY = {2, 18, 19, 20, 21}
_OTHER_NAME = {62, 64}
_NO_TLS = {"WRONG_VERSION_NUMBER", "HTTP_REQUEST", "RECORD_LAYER_FAILURE", "UNEXPECTED_MESSAGE"}
_OLD_TLS = {
    "UNSUPPORTED_PROTOCOL",
    "TLSV1_ALERT_PROTOCOL_VERSION",
    "NO_PROTOCOLS_AVAILABLE",
    "VERSION_TOO_LOW",
}


class TrustError(Exception):
    """The authorities that may vouch for a mail server cannot be read; the message says why."""


def client_context(settings: UpstreamTls) -> ssl.SSLContext:
    """What a mail server's certificate is held against: a file, or the system's authorities.

    Raises:
        TrustError: the file cannot be read, or holds no certificate.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # asks for a certificate and its name
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.mode is Encryption.NONE:
        return context  # it trusts nobody
    if settings.ca is None:
        context.load_default_certs()
        return context
    # The server's own certificate in the file is enough, whoever has signed it.
    context.verify_flags |= ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
    try:
        context.load_verify_locations(cafile=settings.ca)
    except ssl.SSLError:
        raise TrustError(f"{settings.ca} holds no certificate; it takes a PEM file") from None
    except OSError as error:
        raise TrustError(f"{settings.ca} cannot be read: {error.strerror}") from None
    return context


def check_trust(upstreams: Iterable[Upstream]) -> None:
    """Try to read all that the *upstreams* need.

    Raises:
        SettingsError: something cannot be read; every such fault is in it.
    """
    faults = []
    for upstream in upstreams:
        try:
            client_context(upstream.tls)
        except TrustError as error:
            faults.append(Fault(None, None, f"backend.{upstream.name}.tls.ca", str(error)))
    if faults:
        raise SettingsError(faults)


def server_name(settings: Upstream) -> str:
    """The name that is asked for (SNI) and has to stand in the certificate."""
    return settings.tls.server_name or settings.host


def why_no_tls(error: OSError, settings: Upstream) -> str:
    """A sentence for the operator about a handshake that ended with *error*: what to change."""
    where, keys = settings.where, f"backend.{settings.name}.tls"
    match error:
        case ssl.SSLCertVerificationError():
            return _why_not_trusted(error, settings)
        case ssl.SSLError(reason=str(reason)) if reason in _OLD_TLS:
            return f"{where} has no TLS 1.2 or later: allow it there"
        case ssl.SSLError(reason=str(reason)) if reason in _NO_TLS:
            return f"{where} {speaks_no_tls(settings)}"
        case ssl.SSLError(reason=str(reason)):
            return f"TLS with {where} failed: {reason.replace('_', ' ').lower()}; see {keys}"
        case _:
            return f"{where} closed the connection in the TLS handshake; its log may say why"


def speaks_no_tls(settings: Upstream) -> str:
    """What to change where the server's first bytes are no TLS."""
    keys = f"backend.{settings.name}.tls"
    match settings.tls.mode:
        case Encryption.IMPLICIT:
            return f'does not begin with TLS: set {keys} = "starttls", or the port for TLS'
        case Encryption.STARTTLS | Encryption.NONE:
            return "agrees to STARTTLS, but then speaks no TLS: its log may say why"


def _why_not_trusted(error: ssl.SSLCertVerificationError, settings: Upstream) -> str:
    keys = f"backend.{settings.name}.tls"
    certificate = f"the certificate of {settings.where}"
    match error.verify_code:
        case code if code == _EXPIRED:
            return f"{certificate} has expired: renew it there"
        case code if code == _NOT_YET_VALID:
            return f"{certificate} is not valid yet: look at the clocks of both machines"
        case code if code in _OTHER_NAME:
            name = server_name(settings)
            return f"{certificate} is not for {name}: set {keys}.server-name to a name in it"
        case code if code in _UNKNOWN_AUTHORITY:
            return (
                f"{certificate} is vouched for by nobody who is trusted here:"
                f" set {keys}.ca to a file with its authority's certificate, or with its own"
            )
        case _:
            return f"{certificate} is not accepted: {error.verify_message}"
