"""What all kinds of objects have in common (RFC 8620 section 5)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.errors import MethodError, invalid
from mailward_mailbox.jmap.limits import MAX_OBJECTS_IN_GET
from mailward_mailbox.jmap.values import (
    Arguments,
    flag,
    identifier,
    integer,
    listed,
    text,
    unsigned,
)


@dataclass(frozen=True, slots=True)
class Get:
    """What a ``/get`` asks for. *ids*: as they are called in the answer."""

    ids: Sequence[str]
    properties: Sequence[str]

    @classmethod
    def read(
        cls,
        arguments: Arguments,
        everything: Callable[[], Sequence[str]],
        known: Callable[[str], bool],
        default: Collection[str],
    ) -> Get:
        """Read ``ids`` and ``properties``; *everything* is what stands for no ids at all."""
        given = arguments.maybe("ids", listed(identifier), None)
        ids = everything() if given is None else list(dict.fromkeys(given))
        if len(ids) > MAX_OBJECTS_IN_GET:
            raise MethodError("requestTooLarge", f"{MAX_OBJECTS_IN_GET} ids at most")
        wanted = list(dict.fromkeys(arguments.maybe("properties", listed(text), list(default))))
        for name in wanted:
            if not known(name):
                raise invalid(f"there is no property {name[:100]}")
        return cls(ids, list(dict.fromkeys(["id", *wanted])))


def get_answer(
    desk: Desk, objects: Sequence[dict[str, object]], missing: Sequence[str]
) -> dict[str, object]:
    return {
        "accountId": desk.account.id,
        "state": desk.state,
        "list": objects,
        "notFound": missing,
    }


@dataclass(frozen=True, slots=True)
class Window:
    """Which of the results a ``/query`` wants."""

    position: int
    anchor: str | None
    offset: int
    limit: int | None
    counts: bool

    @classmethod
    def read(cls, arguments: Arguments) -> Window:
        return cls(
            arguments.maybe("position", integer, 0),
            arguments.maybe("anchor", identifier, None),
            arguments.maybe("anchorOffset", integer, 0),
            arguments.maybe("limit", unsigned, None),
            arguments.maybe("calculateTotal", flag, default=False),
        )

    def answer(self, desk: Desk, found: Sequence[str]) -> dict[str, object]:
        """What the query has come to, *found* being all of it."""
        start = self._start(desk, found)
        end = len(found) if self.limit is None else start + self.limit
        return {
            "accountId": desk.account.id,
            "queryState": desk.state,
            "canCalculateChanges": False,
            "position": start,
            "ids": found[start:end],
            **({"total": len(found)} if self.counts else {}),
        }

    def _start(self, desk: Desk, found: Sequence[str]) -> int:
        if self.anchor is None:
            return max(0, self.position + (len(found) if self.position < 0 else 0))
        try:
            at = found.index(desk.named(self.anchor))
        except ValueError:
            raise MethodError("anchorNotFound") from None
        return max(0, at + self.offset)


async def changes(desk: Desk, arguments: Arguments) -> dict[str, object]:
    """What has changed of the mail."""
    return no_changes(desk, arguments, desk.state)


def no_changes(desk: Desk, arguments: Arguments, state: str) -> dict[str, object]:
    """What has changed is not kept, so either nothing has or nobody can tell.

    RFC 8620 section 5.2 has both answers.
    """
    since = arguments.one("sinceState", text)
    arguments.maybe("maxChanges", unsigned, None)
    arguments.end()
    if since != state:
        raise MethodError("cannotCalculateChanges")
    return {
        "accountId": desk.account.id,
        "oldState": since,
        "newState": since,
        "hasMoreChanges": False,
        **{kind: [] for kind in ("created", "updated", "destroyed")},
    }


async def query_changes(_desk: Desk, arguments: Arguments) -> dict[str, object]:
    """No query can tell (RFC 8620 section 5.6)."""
    arguments.one("sinceQueryState", text)
    raise MethodError("cannotCalculateChanges")
