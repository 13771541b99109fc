"""What is fuzzed: each parser with a driver that may raise nothing but what is documented.

A driver takes any octets. It asserts what holds for all of them, so that whoever throws octets at
it (Hypothesis in ``test_fuzz``, hours of it by ``at_length``) only has to look for an exception.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from mailward.rules.addresses import AddressError, network_name, parse_address, parse_network
from mailward.rules.limits import LimitError, format_limit, parse_limit
from mailward.rules.logins import Naming
from mailward.rules.model import Instant
from mailward.rules.policy import Policy
from mailward.rules.subjects import SubjectError, subject_from_text
from mailward.settings.build import build, check_key
from mailward.settings.dialect import read_keys
from mailward.settings.errors import SettingsError
from mailward.settings.schema import SCHEMA
from tests.fuzz.embedded import (
    embedded_managesieve,
    embedded_submission,
    sieve_message,
    sieve_script,
)
from tests.fuzz.embedded_fetch import (
    embedded_fetch,
    embedded_fetch_message,
    embedded_search,
    embedded_search_message,
)
from tests.fuzz.embedded_imap import embedded_imap, embedded_imap_words
from tests.fuzz.http import http_chunks, http_request, http_response
from tests.fuzz.mail import email, jmap_request, message_parts
from tests.fuzz.proxies import proxy_header
from tests.fuzz.wire import (
    imap_backend,
    imap_client,
    imap_door,
    imap_login,
    managesieve_backend,
    managesieve_client,
    managesieve_door,
    managesieve_login,
    messages,
    smtp_arrival,
    smtp_login,
    smtp_passage_backend,
    smtp_passage_client,
    submission_backend,
    submission_client,
    submission_door,
)

Driver = Callable[[bytes], None]
CORPUS = Path(__file__).parent / "corpus"

NOW = Instant(1_800_000_000.0)


def corpus(name: str) -> list[bytes]:
    """The inputs in a corpus file: one a line, with the escapes of Python."""
    lines = (CORPUS / f"{name}.txt").read_text("ascii").splitlines()
    return [codecs.decode(line, "unicode_escape").encode("latin-1") for line in lines]


# -- settings --------------------------------------------------------------------------------------


def file(octets: bytes) -> None:
    """A configuration file: it is read, or every fault is told."""
    text = octets.decode("utf-8", "replace")
    with suppress(SettingsError):
        built = build(read_keys(text, "mail.toml"), {}, NOW, name="mail.toml")
        assert (built.configuration is None) == bool(built.file_faults)


def stored(octets: bytes) -> None:
    """A stored key and its value: what add-config takes a load takes too."""
    value = octets.decode("utf-8", "replace")
    for known in SCHEMA:
        key = known.pattern.replace("<name>", "n").replace("<id>", "n")
        with suppress(SettingsError):
            check_key(key, value)
        with suppress(SettingsError):
            check_key(f"{key}.{value}", "")
    build({}, {value: value, "server.security.fail2ban": value}, NOW)


def values(octets: bytes) -> None:
    """The readers of single values, and what they read is spelled so that it reads the same."""
    text = octets.decode("utf-8", "replace")
    with suppress(AddressError):
        parse_address(text)
    with suppress(AddressError):
        network = parse_network(text)
        assert parse_network(network_name(network)) == network
    with suppress(LimitError):
        limit = parse_limit(text)
        assert parse_limit(format_limit(limit)) == limit
    with suppress(SubjectError):
        subject_from_text(text, Policy())
    login = Naming().login(octets)
    assert login is None or Naming().login_from_text(login) == login


TARGETS: dict[str, tuple[Driver, str]] = {
    **{
        driver.__name__: (driver, driver.__name__)
        for driver in (
            imap_door,
            submission_door,
            proxy_header,
            imap_login,
            smtp_login,
            imap_client,
            imap_backend,
            submission_client,
            submission_backend,
            managesieve_door,
            managesieve_login,
            managesieve_client,
            managesieve_backend,
            smtp_passage_client,
            smtp_passage_backend,
            smtp_arrival,
            messages,
            http_request,
            http_response,
            http_chunks,
            email,
            jmap_request,
            file,
            values,
            embedded_submission,
            embedded_managesieve,
            embedded_imap,
            embedded_fetch,
            embedded_search,
            embedded_imap_words,
            sieve_script,
            sieve_message,
        )
    },
    "stored": (stored, "values"),
    "message_parts": (message_parts, "email"),
    "embedded_fetch_message": (embedded_fetch_message, "email"),
    "embedded_search_message": (embedded_search_message, "email"),
}
"""Each driver with the name of its corpus."""
