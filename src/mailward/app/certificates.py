"""Reads certificates and keys from files, and refuses what clients would refuse."""

from __future__ import annotations

import logging
import os
import ssl
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.x509.oid import NameOID

from mailward.edges.tls import ServerCertificate
from mailward.settings.configuration import Certificate
from mailward.settings.errors import Fault, SettingsError


def load_certificates(
    certificates: Mapping[str, Certificate],
    data: Path,
    now: datetime,
    *,
    at_start: bool,
    is_told: bool = True,
) -> dict[str, ServerCertificate]:
    """Every certificate with its key; relative paths are in the *data* directory.

    One that is not valid at *now* is a fault, but not *at_start*: then there is no better one to
    go on with, and no mail at all would be worse than a warning at the client. The log is told of
    it, if it is to be told.

    Raises:
        SettingsError: one cannot be used; every such fault is in it, and no key ever.
    """
    loaded: dict[str, ServerCertificate] = {}
    faults: list[Fault] = []
    for name, certificate in certificates.items():
        try:
            loaded[name], why_not = _load(certificate, data, now)
        except _UnusableError as error:
            why_not = str(error)
        if why_not and at_start and name in loaded:
            if is_told:
                _log.error("certificate %s is used all the same: %s", name, why_not)
        elif why_not:
            faults.append(Fault(None, None, f"certificate.{name}", why_not))
    if faults:
        raise SettingsError(faults)
    return loaded


_log = logging.getLogger("mailward.certificates")


class _UnusableError(Exception):
    """Why a certificate cannot be used."""


def _load(certificate: Certificate, data: Path, now: datetime) -> tuple[ServerCertificate, str]:
    """The certificate, and why no client should believe it now; empty where it should."""
    # Both files are read once and used from memory: whoever swaps them meanwhile cannot make us
    # load one half of the old pair and one half of the new.
    chain, key = _read(data / certificate.cert), _read(data / certificate.private_key)
    try:
        leaf = x509.load_pem_x509_certificates(chain)[0]
    except ValueError:
        swapped = "PRIVATE KEY" in chain.decode("ascii", "replace")
        why = (
            f"{certificate.cert} holds a private key and no certificate: it belongs in private-key"
            if swapped
            else f"{certificate.cert} holds no certificate in PEM form"
        )
        raise _UnusableError(why) from None
    why_not_now = ""
    if now >= leaf.not_valid_after_utc:
        why_not_now = f"{certificate.cert} has expired on {leaf.not_valid_after_utc:%F}"
    elif now < leaf.not_valid_before_utc:
        why_not_now = f"{certificate.cert} is not valid before {leaf.not_valid_before_utc:%F}"
    return ServerCertificate(_context(certificate, chain, key), _names(leaf)), why_not_now


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _UnusableError(f"{path} cannot be read: {error.strerror}") from None


def _context(certificate: Certificate, chain: bytes, key: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2  # RFC 8314 section 4.1, RFC 8996
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    memory = os.memfd_create("certificate", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(memory), "wb") as file:
            file.write(chain + b"\n" + key)
        # Without a password callback OpenSSL would ask the terminal for one.
        context.load_cert_chain(f"/proc/self/fd/{memory}", password=lambda: b"")
    except ssl.SSLError as error:
        match error.reason:
            case "KEY_VALUES_MISMATCH":
                why = f"{certificate.private_key} is not the key of {certificate.cert}"
            case _ if b"ENCRYPTED" in key:
                why = (
                    f"{certificate.private_key} is encrypted, and nobody is asked for its"
                    " passphrase: decrypt it with openssl pkey -in OLD -out NEW"
                )
            case _:
                why = f"{certificate.private_key} holds no private key that can be used as it is"
        raise _UnusableError(why) from None
    finally:
        os.close(memory)
    return context


def _names(leaf: x509.Certificate) -> frozenset[str]:
    try:
        alternatives = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        common = leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return frozenset(str(name.value).lower() for name in common)
    return frozenset(name.lower() for name in alternatives.get_values_for_type(x509.DNSName))
