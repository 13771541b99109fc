"""Mailbox/get and Mailbox/query (RFC 8621 section 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from mailward_mailbox.jmap.desk import Desk, flag_keywords, is_visible
from mailward_mailbox.jmap.methods.filters import Order, Verdict, read_filter, read_sort
from mailward_mailbox.jmap.methods.standard import Get, Window, get_answer
from mailward_mailbox.jmap.values import Arguments, flag, identifier, text
from mailward_mailbox.mail.model import DELIMITER, Mailbox

_RIGHTS = (
    *("mayReadItems", "mayAddItems", "mayRemoveItems", "maySetSeen", "maySetKeywords"),
    *("mayCreateChild", "mayRename", "mayDelete", "maySubmit"),
)
_HELD = frozenset({"mayCreateChild", "mayRename", "mayDelete"})
_COUNTS = ("totalEmails", "unreadEmails", "totalThreads", "unreadThreads")
_PROPERTIES = (
    *("id", "name", "parentId", "role", "sortOrder", *_COUNTS, "myRights", "isSubscribed"),
)
_SORTS = ("sortOrder", "name", "parentId")
_ROLES_FIRST = ("inbox", "drafts", "sent", "archive", "junk", "trash")


Facts = Mapping[str, object]


async def mailbox_get(desk: Desk, arguments: Arguments) -> dict[str, object]:
    get = Get.read(
        arguments,
        lambda: [mailbox.id for mailbox in desk.mail.mailboxes()],
        _PROPERTIES.__contains__,
        _PROPERTIES,
    )
    arguments.end()
    by_id = {name: desk.mail.by_id.get(desk.named(name)) for name in get.ids}
    there = [mailbox for mailbox in by_id.values() if mailbox is not None]
    found = await asyncio.to_thread(_shown, _Tree(desk), there, get.properties)
    return get_answer(desk, found, [name for name, one in by_id.items() if one is None])


def _shown(
    tree: _Tree, mailboxes: Sequence[Mailbox], properties: Sequence[str]
) -> list[dict[str, object]]:
    each = [tree.shown(mailbox, properties) for mailbox in mailboxes]
    return [{name: one[name] for name in properties} for one in each]


async def mailbox_query(desk: Desk, arguments: Arguments) -> dict[str, object]:
    tree = _Tree(desk)
    matches = arguments.maybe("filter", read_filter(_CONDITIONS), None)
    orders = arguments.maybe("sort", read_sort(_SORTS), [])
    as_tree = arguments.maybe("sortAsTree", flag, default=False)
    filters_tree = arguments.maybe("filterAsTree", flag, default=False)
    window = Window.read(arguments)
    arguments.end()
    search = partial(
        _found,
        *(tree, desk.mail.mailboxes(), matches, orders),
        as_tree=as_tree,
        filters_tree=filters_tree,
    )
    return window.answer(desk, await asyncio.to_thread(search))


def _found(
    tree: _Tree,
    mailboxes: list[Mailbox],
    matches: Callable[[Facts], Verdict] | None,
    orders: Sequence[Order],
    *,
    as_tree: bool,
    filters_tree: bool,
) -> list[str]:
    chosen = {one.id for one in mailboxes if matches is None or matches(tree.facts(one))}
    for order in reversed(orders):
        mailboxes.sort(key=lambda one: tree.key(one, order.name), reverse=not order.is_ascending)
    if as_tree:
        mailboxes = tree.as_tree(mailboxes)
    return [
        one.id
        for one in mailboxes
        if one.id in chosen and not (filters_tree and tree.above(one) - chosen)
    ]


class _Tree:
    """An account's mailboxes, each below the one that its name begins with.

    A thread may look at it: what changes meanwhile is copied before it is looked at.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._unread: dict[str, bool] = {}
        """By thread: one may have emails in every mailbox."""
        self._by_name = {mailbox.name: mailbox for mailbox in desk.mail.by_id.values()}

    def parent(self, mailbox: Mailbox) -> Mailbox | None:
        """The nearest one above it: those between may have been deleted."""
        name = mailbox.name
        while DELIMITER in name:
            name = name.rpartition(DELIMITER)[0]
            if name in self._by_name:
                return self._by_name[name]
        return None

    def above(self, mailbox: Mailbox) -> set[str]:
        found, parent = set(), self.parent(mailbox)
        while parent is not None:
            found.add(parent.id)
            parent = self.parent(parent)
        return found

    def name(self, mailbox: Mailbox) -> str:
        parent = self.parent(mailbox)
        return mailbox.name if parent is None else mailbox.name[len(parent.name) + 1 :]

    def facts(self, mailbox: Mailbox) -> Mapping[str, object]:
        parent = self.parent(mailbox)
        return {
            "parentId": None if parent is None else parent.id,
            "name": self.name(mailbox),
            "role": mailbox.role,
            "isSubscribed": mailbox.is_subscribed,
        }

    def key(self, mailbox: Mailbox, by: str) -> str | int:
        match by:
            case "sortOrder":
                return _sort_order(mailbox)
            case "name":
                return self.name(mailbox).casefold()
            case _:
                parent = self.parent(mailbox)
                return "" if parent is None else parent.id

    def as_tree(self, mailboxes: Sequence[Mailbox]) -> list[Mailbox]:
        """Each behind the one that it is below, otherwise in their order."""
        below: dict[str, list[Mailbox]] = {}
        for mailbox in mailboxes:
            parent = self.parent(mailbox)
            below.setdefault("" if parent is None else parent.id, []).append(mailbox)
        left, found = below.get("", [])[::-1], []
        while left:
            mailbox = left.pop()
            found.append(mailbox)
            left += below.get(mailbox.id, [])[::-1]
        return found

    def shown(self, mailbox: Mailbox, properties: Sequence[str]) -> dict[str, object]:
        facts = self.facts(mailbox)
        counts = self._counts(mailbox) if not set(_COUNTS).isdisjoint(properties) else {}
        return {
            "id": mailbox.id,
            **facts,
            "sortOrder": _sort_order(mailbox),
            **counts,
            "myRights": {right: right not in _HELD for right in _RIGHTS},
        }

    def _counts(self, mailbox: Mailbox) -> dict[str, object]:
        there = [message for message in list(mailbox.messages.values()) if is_visible(message)]
        unread = {one.email for one in there if _is_unread(flag_keywords(one.flags))}
        threads = {one.thread for one in there}
        return {
            "totalEmails": len({one.email for one in there}),
            "unreadEmails": len(unread),
            "totalThreads": len(threads),
            "unreadThreads": sum(self._has_unread(thread) for thread in threads),
        }

    def _has_unread(self, thread: str) -> bool:
        if thread not in self._unread:
            self._unread[thread] = any(
                _is_unread(flag_keywords(message.flags))
                for email in list(self._desk.mail.threads.get(thread, ()))
                for message in self._desk.places(email)
            )
        return self._unread[thread]


def _is_unread(keywords: set[str]) -> bool:
    return keywords.isdisjoint(("$seen", "$draft"))


def _sort_order(mailbox: Mailbox) -> int:
    """Those with a role first, as mail programs show them."""
    if mailbox.role in _ROLES_FIRST:
        return 1 + _ROLES_FIRST.index(mailbox.role)
    return 10


def _same(name: str, value: object) -> Callable[[Facts], bool]:
    return lambda facts: facts[name] == value


def _nullable(value: object) -> str | None:
    return None if value is None else identifier(value)


def _contains(value: object) -> Callable[[Facts], bool]:
    wanted = text(value).casefold()
    return lambda facts: wanted in str(facts["name"]).casefold()


def _has_role(value: object) -> Callable[[Facts], bool]:
    wanted = flag(value)
    return lambda facts: (facts["role"] is not None) is wanted


_CONDITIONS: Mapping[str, Callable[[object], Callable[[Facts], bool]]] = {
    "parentId": lambda value: _same("parentId", _nullable(value)),
    "name": _contains,
    "role": lambda value: _same("role", _nullable(value)),
    "hasAnyRole": _has_role,
    "isSubscribed": lambda value: _same("isSubscribed", flag(value)),
}
