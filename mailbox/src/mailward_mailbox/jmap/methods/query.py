"""Email/query (RFC 8621 section 4.4)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from mailward_mailbox.jmap.contents import looked_at
from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.limits import SORT_OPTIONS
from mailward_mailbox.jmap.methods.filters import (
    Condition,
    Order,
    Verdict,
    read_filter,
    read_sort,
)
from mailward_mailbox.jmap.methods.searched import (
    CONDITIONS,
    IN_CONTENT,
    Email,
    SearchedContent,
    Thread,
    sort_key,
)
from mailward_mailbox.jmap.methods.standard import Window
from mailward_mailbox.jmap.values import Arguments, flag

SHORT_OCTETS = 65_536
"""An email that is not longer is read as a whole at once: its header alone takes as long."""
_Keys = list[str | float]


@dataclass(frozen=True, slots=True)
class _Found:
    """An email that matches, and what it is sorted by."""

    id: str
    thread: str
    keys: _Keys


async def email_query(desk: Desk, arguments: Arguments) -> dict[str, object]:
    matches = arguments.maybe("filter", read_filter(CONDITIONS), _everything)
    orders = arguments.maybe("sort", read_sort(SORT_OPTIONS), [])
    collapses = arguments.maybe("collapseThreads", flag, default=False)
    window = Window.read(arguments)
    arguments.end()
    found = await _Search(desk, matches, orders).run()
    ids = await asyncio.to_thread(_in_order, found, orders, collapses=collapses)
    return window.answer(desk, ids)


def _in_order(found: list[_Found], orders: Sequence[Order], *, collapses: bool) -> list[str]:
    found.sort(key=lambda one: one.id)
    for place, order in reversed(list(enumerate(orders))):
        found.sort(key=partial(_key, place), reverse=not order.is_ascending)
    if collapses:
        seen: dict[str, _Found] = {}
        for one in found:
            seen.setdefault(one.thread, one)
        found = list(seen.values())
    return [one.id for one in found]


def _key(place: int, found: _Found) -> Any:
    return found.keys[place]


def _everything(_email: Email) -> Verdict:
    return True


class _Search:
    """Looks at what is in memory first; into a message only where that does not do."""

    def __init__(self, desk: Desk, matches: Condition[Email], orders: Sequence[Order]) -> None:
        self._desk = desk
        self._matches = matches
        self._orders = orders
        self._needs_header = any(order.name in IN_CONTENT for order in orders)
        self._found: list[_Found] = []
        self._threads: dict[str, Thread] = {}

    async def run(self) -> list[_Found]:
        sorted_only, others = await asyncio.to_thread(self._by_memory)
        # What matches already is read only as far as it is sorted by.
        await self._look(sorted_only, header_only=True)
        long = [email for email in others if email.first.size > SHORT_OCTETS]
        short = [email for email in others if email.first.size <= SHORT_OCTETS]
        await self._look(short, header_only=False)
        await self._look(await self._look(long, header_only=True), header_only=False)
        return self._found

    def _by_memory(self) -> tuple[list[Email], list[Email]]:
        """Those that match but for their sort keys, and those that nobody can tell of yet."""
        matching, others = [], []
        for name in list(self._desk.mail.emails):
            places = self._desk.places(name)
            if not places:
                continue
            email = Email(self._desk, name, places, self._threads)
            match self._matches(email):
                case True if self._needs_header:
                    matching.append(email)
                case True:
                    self._found.append(_Found(name, email.first.thread, self._keys(email)))
                case None:
                    others.append(email)
                case False:
                    pass
        return matching, others

    async def _look(self, emails: Sequence[Email], *, header_only: bool) -> list[Email]:
        """Look into *emails*; those that nobody can tell of yet."""
        if not emails:
            return []

        def look(place: int, octets: bytes) -> tuple[Verdict, _Keys]:
            email = emails[place]
            email.content = SearchedContent(octets, is_whole=not header_only)
            verdict = self._matches(email)
            keys = self._keys(email) if verdict else []
            email.content = None
            return verdict, keys

        messages = [email.first for email in emails]
        others = []
        async for place, (verdict, keys) in looked_at(
            self._desk, messages, look, header_only=header_only
        ):
            email = emails[place]
            if verdict:
                self._found.append(_Found(email.id, email.first.thread, keys))
            elif verdict is None:
                others.append(email)
        return others

    def _keys(self, email: Email) -> _Keys:
        return [sort_key(email, order) for order in self._orders]
