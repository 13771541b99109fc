"""News of changes over a connection that stays open (RFC 8620 section 7.3)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from urllib.parse import parse_qs

from mailward.wire.http.head import RequestHead, write_response
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.jmap.errors import RequestError
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.store import MailStore
from mailward_mailbox.stream import Stream

TYPES = ("Mailbox", "Thread", "Email")
MIN_PING_SECONDS = 30
MAX_PING_SECONDS = 3_600
HEAD = write_response(
    200,
    b"OK",
    (
        ("Content-Type", b"text/event-stream"),
        ("Cache-Control", b"no-store"),
        ("Connection", b"close"),
    ),
)


@dataclass(frozen=True, slots=True)
class EventSource:
    """What one client wants to hear of. *after* is the last state that it knows."""

    types: tuple[str, ...]
    ping_seconds: int
    closes: bool
    after: int | None

    @classmethod
    def read(cls, head: RequestHead) -> EventSource:
        """Raises:
        RequestError: it is not said how.
        """
        given = parse_qs(head.target.partition("?")[2], max_num_fields=10)
        types = (given.get("types") or ["*"])[0].split(",")
        ping, close_after = (given.get(name, [""])[0] for name in ("ping", "closeafter"))
        if close_after not in {"", "no", "state"} or (ping and not _is_number(ping)):
            raise RequestError("about:blank", 'closeafter is "no" or "state", ping a number')
        seconds = int(ping or 0)
        known = (head.fields.one("last-event-id") or b"").decode("latin-1")
        return cls(
            TYPES if "*" in types else tuple(one for one in TYPES if one in types),
            seconds and min(max(seconds, MIN_PING_SECONDS), MAX_PING_SECONDS),
            close_after == "state",
            int(known) if _is_number(known) else None,
        )

    async def tell(
        self,
        account: Account,
        store: MailStore,
        is_current: Callable[[], bool],
        stream: Stream,
    ) -> None:
        """Tell until the client leaves, or may not know any more."""
        async with store.open(account.id) as mail, asyncio.TaskGroup() as tasks:
            telling = tasks.create_task(self._tell(account, mail, is_current, stream))
            leaving = tasks.create_task(_left(stream))
            await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
            telling.cancel()
            leaving.cancel()

    async def _tell(
        self,
        account: Account,
        mail: AccountMail,
        is_current: Callable[[], bool],
        stream: Stream,
    ) -> None:
        state = mail.modseq if self.after is None else min(self.after, mail.modseq)
        stream.write(HEAD)  # whoever sees it hears of all that happens from now on
        while True:
            try:
                async with asyncio.timeout(self.ping_seconds or None):
                    state = await mail.changed(state)
            except TimeoutError:
                event = _event("ping", {"interval": self.ping_seconds})
            else:
                changed = {account.id: dict.fromkeys(self.types, str(state))}
                news = {"@type": "StateChange", "changed": changed}
                event = _event("state", news, state) if self.types else b""
            if not is_current():
                return
            stream.write(event)
            try:
                await stream.drain()
            except ConnectionError:
                return
            if self.closes and event.startswith(b"event: state"):
                return


async def _left(stream: Stream) -> None:
    """Wait until the client is gone: it has nothing more to say."""
    with suppress(ConnectionError):
        await stream.read()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16  # noqa: PLR2004 -- fits everywhere


def _event(kind: str, data: object, state: int | None = None) -> bytes:
    known = "" if state is None else f"id: {state}\n"
    return f"event: {kind}\n{known}data: {json.dumps(data)}\n\n".encode()
