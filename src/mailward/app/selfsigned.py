"""``python -m mailward.app.selfsigned DIR``: a certificate to try TLS with, if there is none yet.

No client believes it without being told to. For real use take one from an authority.
"""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from mailward.app.clock import SteadyClock

CERTIFICATE_NAME = "self-signed.pem"
KEY_NAME = "self-signed.key"
LIFETIME = timedelta(days=365)
HOST = "localhost"


def make_certificate(folder: Path, now: datetime) -> bool:
    """Put a certificate for localhost into *folder*; say whether there was none that is valid."""
    if _is_valid(folder / CERTIFICATE_NAME, now) and (folder / KEY_NAME).exists():
        return False
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    names = [
        x509.DNSName(HOST),
        x509.IPAddress(ip_address("127.0.0.1")),
        x509.IPAddress(ip_address("::1")),
    ]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .sign(key, hashes.SHA256())
    )
    _write(
        folder / KEY_NAME,
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
    )
    _write(folder / CERTIFICATE_NAME, certificate.public_bytes(serialization.Encoding.PEM))
    return True


def _is_valid(path: Path, now: datetime) -> bool:
    try:
        return now < x509.load_pem_x509_certificate(path.read_bytes()).not_valid_after_utc
    except (OSError, ValueError):
        return False


def _write(path: Path, octets: bytes) -> None:
    made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(made, "wb") as file:
        file.write(octets)


def main() -> int:
    folder = Path(sys.argv[1])
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    make_certificate(folder, datetime.fromtimestamp(SteadyClock()(), UTC))
    return 0


if __name__ == "__main__":
    sys.exit(main())
