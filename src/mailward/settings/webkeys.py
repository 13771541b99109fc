"""Keys of the listeners for HTTP requests: what is passed on, and who names the client."""

from __future__ import annotations

import re

from mailward.settings.configuration import NO_HEADER
from mailward.settings.errors import WrongValueError
from mailward.settings.key import Key, Shape

_HEADER_NAME = re.compile(r"[a-z0-9-]{1,64}", re.IGNORECASE)
_PATH = re.compile(r"(?:/[A-Za-z0-9\-._~!$&'()*+,=:@]*)+")


def client_header(text: str) -> str:
    """The name of the one header that is believed, in lower case."""
    if not _HEADER_NAME.fullmatch(text):
        raise WrongValueError(f'"{text}" is no name of a header; write "x-forwarded-for"')
    return text.lower()


def web_path(text: str) -> str:
    """A path as requests have it."""
    if not _PATH.fullmatch(text) or {".", ".."} & set(text.split("/")):
        raise WrongValueError(f'"{text}" is no path of requests; write "/jmap"')
    return text


LISTENER_CLIENT_HEADER = Key(
    "server.listener.<id>.client-header",
    f'a header\'s name like "x-real-ip", "forwarded", or "{NO_HEADER}"',
    "jmap, manage: where trusted networks name their client; nothing else is believed",
    client_header,
    "x-forwarded-for",
)
LISTENER_PATHS = Key(
    "server.listener.<id>.paths.<path>",
    'paths like "/jmap"',
    "jmap: passed on with all below, besides /.well-known/jmap and what the session resource names",
    web_path,
    shape=Shape.LIST,
)
