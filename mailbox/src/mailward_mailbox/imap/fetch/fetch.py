"""FETCH and UID FETCH: reads messages in bounded steps and sends the responses."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager, suppress

from mailward_mailbox.imap.errors import NoError
from mailward_mailbox.imap.fetch.items import Attribute, FetchItem, FetchItems
from mailward_mailbox.imap.fetch.render import FetchedMessage, FetchResponse, render, without_nul
from mailward_mailbox.imap.fetch.sections import Span
from mailward_mailbox.imap.output import Output
from mailward_mailbox.imap.reading import (
    MAX_TOGETHER_OCTETS,
    MessageReader,
    Numbered,
    ReadExtent,
)
from mailward_mailbox.imap.sequences import SequenceSet
from mailward_mailbox.imap.view import MailboxView
from mailward_mailbox.mail.model import SEEN, MailError
from mailward_mailbox.message.part import Part

STREAMED_OCTETS = 262_144
"""Of a long section, in memory at a time."""


async def fetch(
    view: MailboxView,
    wanted: SequenceSet,
    items: FetchItems,
    output: Output,
    reader: MessageReader,
    *,
    by_uid: bool,
) -> None:
    r"""Send a response for each message that is still there, after \Seen is set where it is due.

    Raises:
        BadCommandError: a sequence number is beyond the last.
        ConnectionError: the client is gone, or a message is while it is sent.
        NoError: some of what was asked for cannot be told; the rest was.
    """
    await _Fetch(view, items, output, reader).run(wanted, by_uid=by_uid)


class _Fetch:
    def __init__(
        self, view: MailboxView, items: FetchItems, output: Output, reader: MessageReader
    ) -> None:
        self._view = view
        self._items = items
        self._output = output
        self._reader = reader
        self._is_utf8 = view.enabled.is_utf8
        self._newly_seen: set[int] = set()

    async def run(self, wanted: SequenceSet, *, by_uid: bool) -> None:
        since = self._items.changed_since
        if since is None and set(self._items.items) == {Attribute.UID}:
            await self._tell_uids(wanted, by_uid=by_uid)
            return
        picked = self._view.pick(wanted, by_uid=by_uid)
        messages: Iterator[Numbered] = (
            one for one in picked if since is None or one[1].modseq > since
        )
        if self._items.sets_seen and not self._view.is_read_only:
            chosen = [message.uid for _, message in messages]
            await self._set_seen(chosen)
            messages = self._still_there(chosen)
        is_gone = has_unknown_encoding = False
        async for one, response in self._responses(messages):
            if response is None or not await self._can_stream(response):
                is_gone = True
                continue
            has_unknown_encoding |= response.has_unknown_encoding
            with self._room(response):
                self._tell_flags(one)
                await self._send(response)
        if has_unknown_encoding:
            raise NoError("UNKNOWN-CTE", "The encoding of a part is unknown")
        if is_gone:
            raise NoError("EXPUNGEISSUED", "Some messages are not there any more")

    async def _tell_uids(self, wanted: SequenceSet, *, by_uid: bool) -> None:
        """The client has a UID, too, of a message that it was not told yet is removed."""
        self._view.check(wanted, by_uid=by_uid)
        for found in self._view.places(wanted, by_uid=by_uid):
            for place in found:
                self._output.line(b"* %d FETCH (UID %d)" % (place + 1, self._view.uids[place]))
                await self._output.pause()

    # -- flags ---------------------------------------------------------------------------------

    async def _set_seen(self, uids: list[int]) -> None:
        mail, box = self._view.mail, self._view.mailbox
        async with mail.changing:
            unseen = {
                uid: box.messages[uid].flags | {SEEN}
                for uid in uids
                if uid in box.messages and SEEN not in box.messages[uid].flags
            }
            with suppress(MailError):  # on a full disk mail can be read all the same
                if unseen:
                    await mail.set_flags(box.id, unseen)
                    self._newly_seen = set(unseen)

    def _still_there(self, uids: list[int]) -> Iterator[Numbered]:
        for uid in uids:
            number, message = self._view.number(uid), self._view.mailbox.messages.get(uid)
            if number is not None and message is not None:
                yield number, message

    def _asked(self, one: Numbered) -> tuple[FetchItem, ...]:
        r"""The items, and the flags where \Seen is new among them."""
        items = self._items.items
        if one[1].uid not in self._newly_seen:
            return items
        told = [Attribute.FLAGS, Attribute.MODSEQ][: 1 + self._view.enabled.is_condstore]
        return *items, *(item for item in told if item not in items)

    def _tell_flags(self, one: Numbered) -> None:
        """The response that comes next shows the flags, maybe with keywords that are new."""
        if Attribute.FLAGS in self._asked(one):
            self._view.tell_keywords(self._output, [one[1].flags])
            self._view.note(one[1])

    # -- responses -----------------------------------------------------------------------------

    async def _responses(
        self, messages: Iterator[Numbered]
    ) -> AsyncIterator[tuple[Numbered, FetchResponse | None]]:
        """Each message with its response, or ``None`` where its octets are gone."""
        extent = self._items.extent
        if extent is ReadExtent.NOTHING:
            for one in messages:
                yield one, self._render(one)
                await self._output.pause()
        else:
            mail, work, stream = self._view.mail, self._render, self._stream_long
            async for one, done in self._reader.each(mail, messages, extent, work, stream=stream):
                if done is not None and done.outline is not None:
                    self._reader.keep_outline(one[1].blob, done.outline)
                yield one, done

    def _stream_long(self, one: Numbered) -> FetchResponse | None:
        """The response to a long message whose sections are read from the disk as they stand."""
        if self._items.are_streamed:
            return self._render(one)
        outline = self._reader.outline(one[1].blob)
        if outline is None or not self._items.are_spans:
            return None
        return self._render(one, outline=outline)

    def _render(
        self, one: Numbered, octets: bytes | None = None, outline: Part | None = None
    ) -> FetchResponse:
        number, message = one
        items, flags = self._asked(one), self._view.flags(message)
        fetched = FetchedMessage(number, message, items, flags, octets, outline)
        return render(fetched, is_utf8=self._is_utf8)

    async def _can_stream(self, response: FetchResponse) -> bool:
        if not any(isinstance(piece, Span) for piece in response.pieces):
            return True
        return await self._view.mail.piece(response.message.blob, 0, 1) is not None

    @contextmanager
    def _room(self, response: FetchResponse) -> Iterator[None]:
        """Room for a response: long ones for clients that are slow to read would fill the memory.

        Raises:
            NoError: there is none now.
        """
        held = response.held if response.held > MAX_TOGETHER_OCTETS else 0
        if not self._reader.room.take(held):
            raise NoError("LIMIT", "Too many long parts are being sent; try again later")
        try:
            yield
        finally:
            self._reader.room.give_back(held)

    async def _send(self, response: FetchResponse) -> None:
        for piece in response.pieces:
            if isinstance(piece, Span):
                await self._stream(response, piece)
            else:
                await self._output.send(piece)
        await self._output.pause()

    async def _stream(self, response: FetchResponse, span: Span) -> None:
        """Send octets that are read from the disk meanwhile: the client was told their number."""
        for first in range(span.start, span.end, STREAMED_OCTETS):
            wanted = min(STREAMED_OCTETS, span.end - first)
            octets = await self._view.mail.piece(response.message.blob, first, wanted)
            if octets is None or len(octets) < wanted:
                raise ConnectionAbortedError("a message was removed while it was sent")
            await self._output.send(octets if span.is_binary else without_nul(octets))
