"""What all ``/set`` methods have in common (RFC 8620 section 5.3)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.errors import MethodError, SetError
from mailward_mailbox.jmap.limits import MAX_OBJECTS_IN_SET
from mailward_mailbox.jmap.values import Arguments, identifier, listed, mapped, record
from mailward_mailbox.jmap.values import text as read_text
from mailward_mailbox.mail.model import MailError, NoRoomError

Object = Mapping[str, object]
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Changes:
    """What a ``/set`` asks for. Ids are as they were given: each may be a creation id."""

    create: Mapping[str, dict[str, object]]
    update: Mapping[str, dict[str, object]]
    destroy: Sequence[str]

    @classmethod
    def read(cls, desk: Desk, arguments: Arguments) -> Changes:
        """Read them, and the state that they are meant for.

        Raises:
            MethodError: they are too many, or the state is another one.
        """
        changes = cls(
            arguments.maybe("create", mapped(record), {}),
            arguments.maybe("update", mapped(record), {}),
            list(dict.fromkeys(arguments.maybe("destroy", listed(identifier), []))),
        )
        check_state(desk, arguments)
        check_count(len(changes.create) + len(changes.update) + len(changes.destroy))
        return changes


@dataclass(slots=True)
class Results:
    """What has become of each object; the state before is *old*."""

    old: str
    created: dict[str, Object] = field(default_factory=dict)
    updated: dict[str, None] = field(default_factory=dict)
    destroyed: list[str] = field(default_factory=list)
    not_created: dict[str, Object] = field(default_factory=dict)
    not_updated: dict[str, Object] = field(default_factory=dict)
    not_destroyed: dict[str, Object] = field(default_factory=dict)

    def answer(self, desk: Desk) -> dict[str, object]:
        return {
            "accountId": desk.account.id,
            "oldState": self.old,
            "newState": desk.state,
            "created": self.created or None,
            "updated": self.updated or None,
            "destroyed": self.destroyed or None,
            "notCreated": self.not_created or None,
            "notUpdated": self.not_updated or None,
            "notDestroyed": self.not_destroyed or None,
        }


def check_state(desk: Desk, arguments: Arguments) -> None:
    expected = arguments.maybe("ifInState", read_text, None)
    if expected is not None and expected != desk.state:
        raise MethodError("stateMismatch")


def check_count(count: int) -> None:
    if count > MAX_OBJECTS_IN_SET:
        raise MethodError("requestTooLarge", f"{MAX_OBJECTS_IN_SET} objects at most")


async def create_all(
    desk: Desk,
    wanted: Mapping[str, _T],
    create: Callable[[_T], Awaitable[Object]],
    created: dict[str, Object],
    failed: dict[str, Object],
) -> None:
    """Create one after the other; what comes later may name what came before."""
    for name, one in wanted.items():
        try:
            made = await create(one)
        except SetError as error:
            failed[name] = error.answer()
        except MailError as error:
            failed[name] = trouble(error).answer()
        else:
            created[name] = made
            desk.created[name] = str(made["id"])


def trouble(error: MailError) -> SetError:
    """What went wrong with the disk, or with what is to be on it."""
    return SetError("overQuota" if isinstance(error, NoRoomError) else "serverFail", str(error))
