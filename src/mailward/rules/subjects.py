"""How an operator names a subject: ``203.0.113.9``, ``2001:db8::/64``, ``jdoe@example.org``."""

from __future__ import annotations

from mailward.rules.addresses import AddressError, network_subject, parse_network
from mailward.rules.logins import fold_text, operator_name_from_text
from mailward.rules.model import Subject, SubjectKind
from mailward.rules.policy import Policy

_OF_IPV4 = "0123456789.:"
_PREFIXES = {f"{kind.value}:": kind for kind in SubjectKind}


class SubjectError(ValueError):
    """A text that names no subject."""


def subject_from_text(text: str, policy: Policy) -> Subject:
    """Read a subject; ``address:``, ``login:`` or ``operator:`` in front says which kind is meant.

    Without it an address or network wins over a login that is spelled like one.

    >>> subject_from_text("10.1.2.3/8", Policy()).key, subject_from_text("JDoe", Policy()).key
    ('address:10.0.0.0/8', 'login:jdoe')
    >>> subject_from_text("login:192.0.2.1", Policy()).key
    'login:192.0.2.1'

    Raises:
        SubjectError: it is empty, or has ``address:`` in front and is none.
    """
    for prefix, kind in _PREFIXES.items():
        if text.startswith(prefix):
            return subject_of_kind(text[len(prefix) :], kind, policy)
    try:
        return _network_subject(text, policy)
    except AddressError:
        if _looks_like_an_address(text):
            raise SubjectError(
                f'"{text}" is no address or network; if a login is meant, write "login:{text}"'
            ) from None
        return subject_of_kind(text, SubjectKind.LOGIN, policy)


def subject_of_kind(text: str, kind: SubjectKind, policy: Policy) -> Subject:
    """Read a subject whose kind is known.

    Raises:
        SubjectError: *text* names none of that kind.
    """
    match kind:
        case SubjectKind.ADDRESS:
            try:
                return _network_subject(text, policy)
            except AddressError as error:
                raise SubjectError(str(error)) from None
        case SubjectKind.LOGIN:
            login = policy.naming.login_from_text(text)
            if login is None:
                raise SubjectError(f'"{text}" is no login name')
            return Subject(kind, login)
        case SubjectKind.OPERATOR:
            operator = operator_name_from_text(text)
            if operator is None:
                raise SubjectError(f'"{text}" is no name of an operator')
            return Subject(kind, operator)


def _network_subject(text: str, policy: Policy) -> Subject:
    return network_subject(policy.prefixes.fold_network(parse_network(text)))


def _looks_like_an_address(text: str) -> bool:
    # A typo in an address must not become a ban on a login nobody has, nor may a blank, a port or
    # an invisible character that came along with it.
    text = fold_text(text)
    return "@" not in text and ("/" in text or text.count(":") > 1 or not text.strip(_OF_IPV4))
