"""Keys of what is kept, who looks after it, and what is logged."""

from __future__ import annotations

from mailward.settings import readers
from mailward.settings.configuration import LogFormat, LogLevel, StoreType
from mailward.settings.key import Effect, Key

STORE_TYPE = Key(
    "store.type",
    '"sqlite" or "memory"',
    "where failures, bans and settings are kept; memory forgets all at the end",
    readers.one_of(StoreType),
    "sqlite",
    effect=Effect.RESTART,
)
STORE_PATH = Key(
    "store.path",
    "a path, relative to the data directory",
    "the file of the store",
    readers.path,
    "mailward.db",
    effect=Effect.RESTART,
)
MANAGEMENT_SOCKET = Key(
    "management.socket",
    "a path, relative to the data directory",
    "the Unix socket that the command line talks to",
    readers.path,
    "mailward.sock",
    effect=Effect.RESTART,
)
ADMIN_USER = Key(
    "management.admin.user",
    "a name without a colon",
    "the operator's name at manage listeners",
    readers.operator_user,
    "admin",
)
ADMIN_SECRET = Key(
    "management.admin.secret",
    "an argon2id hash: see mailward hash-password",
    "the hash of the operator's password at manage listeners; without it only the socket answers",
    readers.password_hash,
)
LOG_LEVEL = Key(
    "log.level",
    '"error", "warning", "info" or "debug"',
    "the least that is logged",
    readers.one_of(LogLevel),
    "info",
)
LOG_FORMAT = Key(
    "log.format",
    '"text" or "json"',
    "how the log is written",
    readers.one_of(LogFormat),
    "text",
)
