"""The handshake of a WebSocket (RFC 6455 section 4), which JMAP can go through (RFC 8887)."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha1

from mailward.wire.http.head import RequestHead, ResponseHead

SWITCHING = 101

UPGRADE_FIELDS = (("Connection", b"Upgrade"), ("Upgrade", b"websocket"))
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def asks_for_websocket(head: RequestHead) -> bool:
    """Whether *head* asks to go on as a WebSocket. Any other upgrade is nothing to us."""
    return (
        head.method == "GET"
        and head.minor == 1
        and "upgrade" in head.fields.listed("connection")
        and head.fields.listed("upgrade") == ["websocket"]
        and len(head.fields.all("sec-websocket-key")) == 1
    )


def agrees_to_websocket(head: ResponseHead, asked: RequestHead) -> bool:
    """Whether the backend has taken up just what *asked* has offered."""
    return (
        head.status == SWITCHING
        and "upgrade" in head.fields.listed("connection")
        and head.fields.listed("upgrade") == ["websocket"]
        and list(head.fields.all("sec-websocket-accept"))
        == [accept_for(asked.fields.all("sec-websocket-key")[0])]
    )


def accept_for(key: bytes) -> bytes:
    """What proves that the key was read.

    >>> accept_for(b"dGhlIHNhbXBsZSBub25jZQ==")
    b's3pPLMBiTxaQ9kYGzzhZRbK+xOo='
    """
    return b64encode(sha1(key + _GUID, usedforsecurity=False).digest())
