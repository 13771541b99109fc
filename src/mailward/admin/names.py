"""A subject as an operator reads, writes and finds it: a name, or the key of a ban."""

from __future__ import annotations

from mailward.guard.service import Guard
from mailward.rules.model import Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import (
    spelled,
    split_kind,
    subjects_from_text,
    subjects_of_kind,
)

BLOCKED_NETWORKS = "server.security.blocked-networks."
BLOCKED_LOGINS = "server.security.blocked-logins."
BLOCKED_OPERATORS = "server.security.blocked-operators."
ALLOWED_NETWORKS = "server.security.allowed-networks."

_STEMS = {
    SubjectKind.ADDRESS: BLOCKED_NETWORKS,
    SubjectKind.LOGIN: BLOCKED_LOGINS,
    SubjectKind.OPERATOR: BLOCKED_OPERATORS,
}


def ban_key(subject: Subject) -> str:
    """The key that a ban on *subject* is, seen as a setting.

    >>> ban_key(Subject(SubjectKind.LOGIN, "jdoe@example.org"))
    'server.security.blocked-logins.jdoe@example.org'
    """
    return _STEMS[subject.kind] + subject.name


def blocked_member(key: str) -> tuple[SubjectKind, str] | None:
    """The kind and the name that a key below one of the block lists bans.

    >>> blocked_member("server.security.blocked-networks.10.0.0.0/8")
    (<SubjectKind.ADDRESS: 'address'>, '10.0.0.0/8')
    """
    for kind, stem in _STEMS.items():
        if key.startswith(stem):
            return kind, key[len(stem) :]
    return None


def named(subject: Subject) -> str:
    """A subject with what it is, as a sentence names it.

    >>> named(Subject(SubjectKind.ADDRESS, "10.0.0.0/8")), named(Subject(SubjectKind.LOGIN, "ada"))
    ('network 10.0.0.0/8', 'login ada')
    """
    is_network = subject.kind is SubjectKind.ADDRESS and "/" in subject.name
    return f"{'network' if is_network else subject.kind.value} {spelled(subject)}"


def read_subjects(
    text: str, policy: Policy, kind: SubjectKind | None = None
) -> tuple[Subject, ...]:
    """The subject that *text* names, or the networks of a range.

    Raises:
        SubjectError: it names none.
    """
    if kind is None:
        return subjects_from_text(text, policy)
    return subjects_of_kind(text, kind, policy)


def find_subjects(text: str, guard: Guard, kind: SubjectKind | None = None) -> tuple[Subject, ...]:
    """The same for a subject that may be banned already.

    A ban keeps the name that its login had when it fell: that name finds it, whatever the rules
    for names make of it today.

    Raises:
        SubjectError: *text* names none.
    """
    named_kind, name = split_kind(text) if kind is None else (kind, text)
    known = Subject(SubjectKind.LOGIN, name)
    is_login = named_kind is SubjectKind.LOGIN or (named_kind is None and name == spelled(known))
    if is_login and guard.mirror.on(known) is not None:
        return (known,)
    return read_subjects(text, guard.policy, kind)
