"""The settings of the program: one JSON object of the supervisor, or the command line's options."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from mailward_mailbox.accounts.naming import AccountNaming

MAX_SETTINGS_OCTETS = 1_048_576
_HOST_AND_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^\s:\[\]]+)):(\d{1,5})")
_MAX_PORT = 65_535


class UnfitSettingsError(Exception):
    """The settings cannot be used; the message says which one, and why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """*relay* takes mail for other servers, *quota* is for each account, in octets."""

    hostname: str = ""
    relay: tuple[str, int] | None = None
    quota: int | None = None
    naming: AccountNaming = field(default_factory=AccountNaming)


def read_settings(line: bytes) -> Settings:
    """The settings in one line, a JSON object; what is missing has its default.

    Raises:
        UnfitSettingsError: it is none, or one of its values cannot be used.
    """
    try:
        told = json.loads(line)
    except ValueError:
        raise UnfitSettingsError("the settings are no JSON") from None
    if not isinstance(told, dict):
        raise UnfitSettingsError("the settings are no JSON object")
    relay, quota = told.get("relay"), told.get("quota")
    if quota is not None and (not isinstance(quota, int) or quota <= 0):
        raise UnfitSettingsError("quota must be a number of octets")
    return Settings(
        _text(told, "hostname"),
        None if relay is None else host_and_port("relay", str(relay)),
        quota,
        _naming(told.get("naming", {})),
    )


def host_and_port(name: str, text: str) -> tuple[str, int]:
    """Host and port of ``host:port`` or ``[v6]:port``; *name* is what the text is given for.

    >>> host_and_port("relay", "[::1]:25")
    ('::1', 25)

    Raises:
        UnfitSettingsError: it is none.
    """
    match = _HOST_AND_PORT.fullmatch(text)
    if match is None or int(match[3]) > _MAX_PORT:
        raise UnfitSettingsError(f"{name} must be host:port or [v6]:port, not {text!r}")
    return match[1] or match[2], int(match[3])


def _naming(told: object) -> AccountNaming:
    if not isinstance(told, dict):
        raise UnfitSettingsError("naming must be an object")
    aliases = told.get("domain_aliases", {})
    if not isinstance(aliases, dict) or not all(isinstance(one, str) for one in aliases.values()):
        raise UnfitSettingsError("naming.domain_aliases must be an object of strings")
    translation = _text(told, "translation")
    if len(translation) % 2:
        raise UnfitSettingsError("naming.translation must be pairs of characters")
    login_format = told.get("login_format", "full")
    if login_format not in {"full", "local-part"}:
        raise UnfitSettingsError('naming.login_format must be "full" or "local-part"')
    return AccountNaming(
        default_domain=_text(told, "default_domain"),
        domain_aliases=MappingProxyType(dict(aliases)),
        is_local_part=login_format == "local-part",
        translation=translation,
        detail_separator=_text(told, "detail_separator"),
    )


def _text(told: Mapping[str, object], name: str) -> str:
    value = told.get(name) or ""
    if not isinstance(value, str):
        raise UnfitSettingsError(f"{name} must be a string")
    return value
