"""Keys of the mail server that is built in."""

from __future__ import annotations

from mailward.settings import readers
from mailward.settings.key import Effect, Key

EMBEDDED_PATH = Key(
    "backend.embedded.path",
    "a path, relative to the data directory",
    "the folder of the built-in mail server: its accounts and their mail",
    readers.path,
    "embedded",
    effect=Effect.RESTART,
)
EMBEDDED_RELAY = Key(
    "backend.embedded.relay",
    "host:port or [v6]:port",
    "who takes mail for other servers; without it only accounts here can be written to",
    readers.relay_address,
)
EMBEDDED_QUOTA = Key(
    "backend.embedded.quota",
    'octets with a unit (kB, MB, GB, TB), at least 1MB, or "none"',
    "how much mail each account may have",
    readers.octets_or_off,
    "1GB",
)
