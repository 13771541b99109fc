"""Configurations of our doors before the backends of the measurements."""

from __future__ import annotations

from collections.abc import Sequence

from bench.harness.clients import Speaks
from bench.harness.peers import Certificate, Way

_LISTENER = """\
[server.listener.door{way.port}]
protocol = "{protocol}"
bind = ["127.0.0.1:{way.port}"]
backend = "backend{way.backend}"
{tls}
"""
_BACKEND = """\
[backend.backend{port}]
address = "127.0.0.1:{port}"
"""
_CERTIFICATE = """\
[certificate.default]
cert = "{pair.chain}"
private-key = "{pair.key}"
"""


def configuration(ways: Sequence[Way], pair: Certificate, security: str = "") -> str:
    """A door for each of *ways*; *security* are lines of that table."""
    return (
        f"[server.security]\n{security}\n"
        + "".join(
            _LISTENER.format(
                way=way,
                protocol="imap" if way.speaks is Speaks.IMAP else "submission",
                tls="tls.implicit = true" if way.tls else "allow-plaintext = true",
            )
            for way in ways
        )
        + "".join(_BACKEND.format(port=port) for port in dict.fromkeys(w.backend for w in ways))
        + _CERTIFICATE.format(pair=pair)
    )
