"""How an operator names a subject, and how a subject is printed so that it can be typed again.

``203.0.113.9``, ``2001:db8::/64``, ``203.0.113.0-203.0.113.99``, ``jdoe@example.org``; with
``address:``, ``login:`` or ``operator:`` in front the kind is given. ``encoded:`` before that says
that the rest is percent-encoded: so the names are printed that a terminal or a list would spoil.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from urllib.parse import quote, unquote_to_bytes

from mailward.rules.addresses import AddressError, network_subject
from mailward.rules.logins import fold_text, operator_name_from_text
from mailward.rules.marks import has_many_marks
from mailward.rules.model import Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.ranges import RangeError, parse_networks

_PREFIXES = {f"{kind.value}:": kind for kind in SubjectKind}
_ENCODED = "encoded:"
_UNENCODED = "@:"  # beside letters, digits and -._~

_ONLY_NUMBERS = re.compile(r"[0-9.: -]*[.:][0-9.: -]*")
_BEGINS_AS_IPV4 = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}\.")
_SYSTEM = re.compile(r"ASN? ?[0-9]+")
_COUNTRIES = re.compile(r"[A-Z]{2}(?:[ ,;]+[A-Z]{2})*")
MAX_SUBJECT_CHARACTERS = 1_000
"""A name of 255 octets, encoded, takes 800; a longer one is counted under its digest."""
# What begins an option, a comment in a list, or a list in JSON.
_BEGINS_SOMETHING = ("-", "#", ";", "[", "{")


class SubjectError(ValueError):
    """A text that names no subject; the message says what to write instead."""


def subjects_from_text(text: str, policy: Policy) -> tuple[Subject, ...]:
    """Read a subject, or the networks that a range of addresses is.

    Without a kind in front an address or network wins over a login that is spelled like one, and
    what looks like either but is none is refused: no typo becomes a ban on a login.

    >>> [subject.key for subject in subjects_from_text("192.0.2.0-192.0.2.2", Policy())]
    ['address:192.0.2.0/31', 'address:192.0.2.2']

    Raises:
        SubjectError: it is empty, or neither.
    """
    kind, name = split_kind(text)
    if kind is not None:
        return subjects_of_kind(name, kind, policy)
    try:
        return _networks(text, policy)
    except RangeError as error:
        raise SubjectError(str(error)) from None
    except AddressError:
        _check_no_address(text, policy)
        return subjects_of_kind(text, SubjectKind.LOGIN, policy)


def subject_from_text(text: str, policy: Policy) -> Subject:
    """The same where only one is asked for.

    >>> subject_from_text("10.1.2.3/8", Policy()).key, subject_from_text("JDoe", Policy()).key
    ('address:10.0.0.0/8', 'login:jdoe')
    >>> subject_from_text("login:192.0.2.1", Policy()).key
    'login:192.0.2.1'

    Raises:
        SubjectError: it names none, or a range that is several.
    """
    return _only(text, subjects_from_text(text, policy))


def subjects_of_kind(text: str, kind: SubjectKind, policy: Policy) -> tuple[Subject, ...]:
    """Read a subject whose kind is known, or the networks of a range.

    Raises:
        SubjectError: *text* names none of that kind.
    """
    match kind:
        case SubjectKind.ADDRESS:
            try:
                return _networks(text, policy)
            except AddressError as error:
                raise SubjectError(str(error)) from None
        case SubjectKind.LOGIN:
            login = policy.naming.login_from_text(text)
            if login is None:
                raise SubjectError(f'"{text}" is no login name')
            return (Subject(kind, login),)
        case SubjectKind.OPERATOR:
            operator = operator_name_from_text(text)
            if operator is None:
                raise SubjectError(f'"{text}" is no name of an operator')
            return (Subject(kind, operator),)


def subject_of_kind(text: str, kind: SubjectKind, policy: Policy) -> Subject:
    """The same where only one is asked for.

    Raises:
        SubjectError: *text* names none of that kind, or a range that is several.
    """
    return _only(text, subjects_of_kind(text, kind, policy))


def split_kind(text: str) -> tuple[SubjectKind | None, str]:
    """The kind that stands in front, if one does, and the name behind it, decoded.

    >>> split_kind("encoded:login:a%20%23b"), split_kind("jdoe")
    ((<SubjectKind.LOGIN: 'login'>, 'a #b'), (None, 'jdoe'))

    Raises:
        SubjectError: it begins with ``encoded:``, and the rest is not; or it is longer than
            :data:`MAX_SUBJECT_CHARACTERS`.
    """
    if len(text) > MAX_SUBJECT_CHARACTERS:
        most = f"a subject has {MAX_SUBJECT_CHARACTERS:,} characters at most"
        raise SubjectError(f'"{text[:40]}..." is too long: {most}')
    if text.startswith(_ENCODED):
        kind, name = _split(_decoded(text))
        if kind is None:
            raise SubjectError(f'"{text}" lacks a kind; write "{_ENCODED}login:..."')
        return kind, name
    return _split(text)


def spelled(subject: Subject) -> str:
    """The text that every command, list and form reads as *subject*, the shortest if it is plain.

    It is printable, has no blank at an end or twice, begins no option and no comment, and keeps
    its meaning in a line of its own. A shell needs it quoted.

    >>> spelled(Subject(SubjectKind.LOGIN, "192.0.2.1")), spelled(Subject(SubjectKind.LOGIN, "jd"))
    ('login:192.0.2.1', 'jd')
    >>> spelled(Subject(SubjectKind.LOGIN, "a  b")), spelled(Subject(SubjectKind.ADDRESS, "::/64"))
    ('encoded:login:a%20%20b', '::/64')
    """
    if subject.kind is SubjectKind.ADDRESS:
        return subject.name
    if not _is_plain(subject.name):
        return f"{_ENCODED}{quote(subject.key, safe=_UNENCODED, errors='surrogatepass')}"
    if subject.kind is SubjectKind.OPERATOR or _could_be_more(subject.name):
        return subject.key
    return subject.name


def _networks(text: str, policy: Policy) -> tuple[Subject, ...]:
    fold = policy.prefixes.fold_network
    # A wide network of a translator and one inside it can become the same.
    return tuple(dict.fromkeys(network_subject(fold(found)) for found in parse_networks(text)))


def _only(text: str, subjects: tuple[Subject, ...]) -> Subject:
    if len(subjects) > 1:
        names = ", ".join(subject.name for subject in subjects[:3])
        raise SubjectError(f'"{text}" is {len(subjects)} networks: name one of {names}, ...')
    return subjects[0]


def _split(text: str) -> tuple[SubjectKind | None, str]:
    for prefix, kind in _PREFIXES.items():
        if text.startswith(prefix):
            return kind, text[len(prefix) :]
    return None, text


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text.removeprefix(_ENCODED)).decode()
    except UnicodeDecodeError:
        raise SubjectError(f'"{text}" is no UTF-8 text when it is decoded') from None


def _check_no_address(text: str, policy: Policy) -> None:
    """See that *text* is a login and no mistyped address, range, wildcard, system or country.

    Raises:
        SubjectError: it may be one of those.
    """
    known = unicodedata.normalize("NFKC", text).strip()
    if _SYSTEM.fullmatch(known):
        wrong = "is an autonomous system, and addresses are banned: name its networks"
    elif _COUNTRIES.fullmatch(known):
        wrong = "may be a country, and addresses are banned: name its networks"
    elif _looks_like_an_address(fold_text(text), policy.naming.master_separator):
        is_pattern = "*" in text and "/" not in text
        hint = "; write a pattern as a network, like 203.0.113.0/24" if is_pattern else ""
        wrong = f"is no address, network or range of addresses{hint}"
    else:
        return
    meant = shlex.quote(_with_kind(text, SubjectKind.LOGIN))
    raise SubjectError(f'"{text}" {wrong}; if a login is meant, write {meant}')


def _with_kind(name: str, kind: SubjectKind) -> str:
    key = f"{kind.value}:{name}"
    return key if _is_plain(name) else f"{_ENCODED}{quote(key, safe=_UNENCODED)}"


def _looks_like_an_address(folded: str, master_separator: str = "") -> bool:
    """Whether a folded text may be meant as one.

    >>> [_looks_like_an_address(text) for text in ("203.0.113.*", "10.1", "12345", "a.b1@c.d")]
    [True, True, False, False]
    """
    if "@" in folded:
        return False
    if "*" in folded:
        victim, separator, master = folded.partition(master_separator or "@")
        if not (victim and separator and master) or _ONLY_NUMBERS.fullmatch(victim):
            return True
    return (
        "/" in folded
        or folded.count(":") > 1
        or _ONLY_NUMBERS.fullmatch(folded) is not None
        or _BEGINS_AS_IPV4.match(folded) is not None
    )


def _could_be_more(name: str) -> bool:
    """Whether the name of a login would not be read as one without its kind in front."""
    return (
        name.startswith(_BEGINS_SOMETHING)
        or _split(name)[0] is not None
        or name.startswith(_ENCODED)
        or _looks_like_an_address(name)
        or name != name.lower()  # a digest, or what is meant as a system or a country
    )


def _is_plain(name: str) -> bool:
    """Whether *name* looks the same wherever it is printed, and is one entry of a list."""
    if not name.isprintable() or name != " ".join(name.split()):
        return False
    if any(word.startswith(("#", ";")) for word in name.split()[1:]):
        return False
    return not has_many_marks(name)
