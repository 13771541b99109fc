"""A subject as an operator reads, writes and finds it: a name, or the key of a ban."""

from __future__ import annotations

from mailward.guard.service import Guard
from mailward.rules.model import Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import subject_from_text, subject_of_kind

BLOCKED_NETWORKS = "server.security.blocked-networks."
BLOCKED_LOGINS = "server.security.blocked-logins."
BLOCKED_OPERATORS = "server.security.blocked-operators."
ALLOWED_NETWORKS = "server.security.allowed-networks."

_STEMS = {
    SubjectKind.ADDRESS: BLOCKED_NETWORKS,
    SubjectKind.LOGIN: BLOCKED_LOGINS,
    SubjectKind.OPERATOR: BLOCKED_OPERATORS,
}
_LOGIN_PREFIX = f"{SubjectKind.LOGIN.value}:"


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


def spelled(subject: Subject) -> str:
    """The shortest text that the commands read as *subject*.

    >>> spelled(Subject(SubjectKind.LOGIN, "192.0.2.1"))
    'login:192.0.2.1'
    >>> spelled(Subject(SubjectKind.LOGIN, "jdoe")), spelled(Subject(SubjectKind.ADDRESS, "::/64"))
    ('jdoe', '::/64')
    """
    match subject.kind:
        case SubjectKind.ADDRESS:
            return subject.name
        case SubjectKind.LOGIN:
            could_be_more = not subject.name.strip("0123456789.") or set(":/") & set(subject.name)
            return subject.key if could_be_more else subject.name
        case SubjectKind.OPERATOR:
            return subject.key


def read_subject(text: str, policy: Policy, kind: SubjectKind | None = None) -> Subject:
    """The subject that *text* names.

    Raises:
        SubjectError: it names none.
    """
    return subject_from_text(text, policy) if kind is None else subject_of_kind(text, kind, policy)


def find_subject(text: str, guard: Guard, kind: SubjectKind | None = None) -> Subject:
    """The same for a subject that may be banned already.

    A ban keeps the name that its login had when it fell: that name finds it, whatever the rules
    for names make of it today.

    Raises:
        SubjectError: *text* names none.
    """
    known = Subject(SubjectKind.LOGIN, text.removeprefix(_LOGIN_PREFIX) if kind is None else text)
    is_login = kind is SubjectKind.LOGIN or (kind is None and text in {known.key, spelled(known)})
    if is_login and guard.mirror.on(known) is not None:
        return known
    return read_subject(text, guard.policy, kind)
