"""What the process is asked to do. It imports little, so that other commands do not wait."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, unique
from pathlib import Path

from mailward_mailbox.settings import Settings

CONTROL = "control.sock"


@unique
class Service(Enum):
    """What is spoken. The value names its socket and its option."""

    IMAP = "imap"
    SUBMISSION = "submission"
    MANAGESIEVE = "managesieve"
    JMAP = "jmap"


class StartError(Exception):
    """The process cannot begin; the message says why, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What was asked for on the command line. One that *is_supervised* is told its settings."""

    data: Path
    settings: Settings
    is_supervised: bool = False
    ports: Mapping[Service, tuple[str, int]] = field(default_factory=dict)
    """TCP addresses to listen on, beside the Unix sockets."""
    allow_remote: bool = False
