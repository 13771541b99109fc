"""Configurations that tests begin with."""

from __future__ import annotations

from collections.abc import Mapping

from mailward.rules.model import Instant
from mailward.rules.policy import Policy
from mailward.settings.build import Built, build
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import read_keys

NOW = Instant(1_800_000_000.0)

SECURITY = "server.security"
IMAP = 'protocol = "imap"'
BACKEND = 'backend = "b"'

WHOLE = """\
[server]
hostname = "mail.example.org"

[server.security]
fail2ban = "10/1h"

[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:1143", "[::1]:1143"]
backend = "dovecot"

[server.listener.submission]
protocol = "submission"
bind = { "0.0.0.0:1587" }
backend = "postfix"
allow-plaintext = true

[backend.dovecot]
address = "127.0.0.1:10143"
client-address = "proxy-v2"

[backend.postfix]
address = "[::1]:10587"
connect-timeout = "5s"
answer-timeout = "2m"
"""


def built(text: str, stored: Mapping[str, str] | None = None) -> Built:
    return build(read_keys(text, "mail.toml"), stored or {}, NOW, name="mail.toml")


def configured(text: str, stored: Mapping[str, str] | None = None) -> Configuration:
    """The configuration of *text*, which has no faults."""
    result = built(text, stored)
    assert result.file_faults == ()
    assert result.configuration is not None
    return result.configuration


def faults(text: str, stored: Mapping[str, str] | None = None) -> list[str]:
    """The faults of the file, as they are printed."""
    result = built(text, stored)
    assert (result.configuration is None) == bool(result.file_faults)
    return [str(fault) for fault in result.file_faults]


def stored_faults(text: str, stored: Mapping[str, str]) -> list[str]:
    """The faults of stored keys, beside a file that has none."""
    result = built(text, stored)
    assert result.file_faults == ()
    return [str(fault) for fault in result.stored_faults]


def security(line: str) -> str:
    return f"[server.security]\n{line}\n"


def policy(line: str, stored: dict[str, str] | None = None) -> Policy:
    return configured(security(line), stored).policy


def listener(*lines: str) -> str:
    """A listener called ``l`` of *lines*, which begin in line 4, and a backend ``b``."""
    return "\n".join(["[backend.b]", 'address = "127.0.0.1:2"', "[server.listener.l]", *lines])
