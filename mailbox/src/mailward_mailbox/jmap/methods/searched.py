"""What is looked for in emails, and what they are sorted by (RFC 8621 section 4.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from mailward_mailbox.jmap.desk import Desk, keywords
from mailward_mailbox.jmap.message.bodies import leaves, sort_out
from mailward_mailbox.jmap.message.headers import as_moment
from mailward_mailbox.jmap.methods.filters import Condition, Order, Verdict
from mailward_mailbox.jmap.values import (
    WrongValue,
    flag,
    identifier,
    keyword,
    listed,
    moment,
    text,
    unsigned,
)
from mailward_mailbox.mail.model import MAX_MAILBOXES, Message
from mailward_mailbox.message.addresses import read_addresses
from mailward_mailbox.message.forms import line_of, text_of_field
from mailward_mailbox.message.header import Header
from mailward_mailbox.message.parse import parse, parse_header
from mailward_mailbox.message.text import plain

_PHRASE = re.compile(r"""\s*(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)'|(\S+))""", re.DOTALL)
_ESCAPED = re.compile(r"""\\(["'\\])""")
# RFC 5256 section 2.1, what is usual of it.
_REPLY = re.compile(
    r"(?:\s*(?:re|fwd?|aw|wg)(?:\[\d+\])?\s*:|\s*\[[^\[\]]*\](?=.*\S))", re.IGNORECASE
)
_MAX_SUBJECT = 998
MAX_WORDS_CHARS = 256
SEARCHED_OCTETS = 1_048_576
"""Of one part."""


class SearchedContent:
    """What is in one email: *octets* of it, *is_whole* or not more than the header."""

    def __init__(self, octets: bytes, *, is_whole: bool) -> None:
        self._octets = octets
        self._folded: dict[str, str | None] = {}
        self.is_whole = is_whole

    @cached_property
    def header(self) -> Header:
        return parse_header(self._octets)

    def field(self, name: str) -> str | None:
        """All fields of that name, folded; ``None`` where there are none."""
        if name not in self._folded:
            values = [text_of_field(raw) for raw in self.header.all(name)]
            self._folded[name] = folded("\n".join(values)) if values else None
        return self._folded[name]

    @cached_property
    def body(self) -> str:
        """All that is text, folded."""
        texts = [part for part in leaves(parse(self._octets)) if part.kind == "text"]
        return folded("\n".join(plain(part, SEARCHED_OCTETS) for part in texts))

    @cached_property
    def has_attachment(self) -> bool:
        return sort_out(parse(self._octets)).has_attachment


@dataclass(frozen=True, slots=True)
class Thread:
    """The keywords that all emails of a thread have, and those that some have."""

    of_all: frozenset[str]
    of_some: frozenset[str]

    @classmethod
    def read(cls, desk: Desk, thread: str) -> Thread:
        emails = list(desk.mail.threads.get(thread, ()))
        each = [keywords(places) for one in emails if (places := desk.places(one))] or [set()]
        return cls(frozenset(set.intersection(*each)), frozenset(set.union(*each)))


@dataclass
class Email:
    """One email that is looked at. It has *content* only if that is asked for."""

    desk: Desk
    id: str
    places: list[Message]
    threads: dict[str, Thread]
    """Those that were looked at already: one may hold all emails that there are."""
    content: SearchedContent | None = None

    @property
    def first(self) -> Message:
        return self.places[0]

    @cached_property
    def keywords(self) -> set[str]:
        return keywords(self.places)

    @property
    def thread(self) -> Thread:
        name = self.first.thread
        if name not in self.threads:
            self.threads[name] = Thread.read(self.desk, name)
        return self.threads[name]


Reader = Callable[[object], Condition[Email]]


@dataclass(frozen=True, slots=True)
class Words:
    """Text that is looked for: every token must be there, in any case."""

    tokens: tuple[str, ...]

    @classmethod
    def read(cls, value: object) -> Words:
        wanted, tokens = text(value), []
        if len(wanted) > MAX_WORDS_CHARS:
            raise WrongValue(f"a text of {MAX_WORDS_CHARS} characters at most")
        for double, single, word in _PHRASE.findall(wanted):
            token = word or _ESCAPED.sub(r"\1", double or single)
            if token.strip():
                tokens.append(folded(token))
        return cls(tuple(tokens))

    def are_in(self, *texts: str | None) -> bool:
        """Whether all are in *texts*, which are folded."""
        return all(any(token in one for one in texts if one) for token in self.tokens)


def folded(text: str) -> str:
    """As it is compared: in one line, in one case."""
    return " ".join(text.split()).casefold()


def _in_field(name: str) -> Reader:
    def read(value: object) -> Condition[Email]:
        words = Words.read(value)
        return lambda email: (
            None if email.content is None else words.are_in(email.content.field(name))
        )

    return read


def _in_body(value: object) -> Condition[Email]:
    words = Words.read(value)

    def holds(email: Email) -> Verdict:
        if email.content is None or not email.content.is_whole:
            return None
        return words.are_in(email.content.body)

    return holds


def _anywhere(value: object) -> Condition[Email]:
    words = Words.read(value)

    def holds(email: Email) -> Verdict:
        content = email.content
        if content is None:
            return None
        header = [content.field(name) for name in ("from", "to", "cc", "bcc", "subject")]
        if words.are_in(*header):
            return True
        return words.are_in(*header, content.body) if content.is_whole else None

    return holds


def _in_header(value: object) -> Condition[Email]:
    given = listed(text)(value)
    if len(given) not in {1, 2} or not given[0]:
        raise WrongValue("a list of a header's name and, maybe, what is looked for in it")
    name, words = given[0].lower(), Words.read(given[1] if len(given) > 1 else "")

    def holds(email: Email) -> Verdict:
        if email.content is None:
            return None
        value = email.content.field(name)
        return value is not None and words.are_in(value)

    return holds


def _with_attachment(value: object) -> Condition[Email]:
    wanted = flag(value)

    def holds(email: Email) -> Verdict:
        if email.content is None or not email.content.is_whole:
            return None
        return email.content.has_attachment is wanted

    return holds


def _compared(read: Callable[[object], float], holds: Callable[[Message, float], bool]) -> Reader:
    def condition(value: object) -> Condition[Email]:
        bound = read(value)
        return lambda email: holds(email.first, bound)

    return condition


def _of_keyword(holds: Callable[[Email, str], bool]) -> Reader:
    def condition(value: object) -> Condition[Email]:
        wanted = keyword(value)
        return lambda email: holds(email, wanted)

    return condition


def _in_mailbox(value: object) -> Condition[Email]:
    wanted = identifier(value)
    return lambda email: any(place.mailbox == email.desk.named(wanted) for place in email.places)


def _in_other_mailbox(value: object) -> Condition[Email]:
    others = listed(identifier)(value)
    if len(others) > MAX_MAILBOXES:
        raise WrongValue(f"a list of {MAX_MAILBOXES} ids at most")
    named: set[str] = set()

    def holds(email: Email) -> Verdict:
        if not named:
            named.update(email.desk.named(one) for one in others)
        return any(place.mailbox not in named for place in email.places)

    return holds


CONDITIONS: Mapping[str, Reader] = {
    "inMailbox": _in_mailbox,
    "inMailboxOtherThan": _in_other_mailbox,
    "before": _compared(moment, lambda message, bound: message.received < bound),
    "after": _compared(moment, lambda message, bound: message.received >= bound),
    "minSize": _compared(unsigned, lambda message, bound: message.size >= bound),
    "maxSize": _compared(unsigned, lambda message, bound: message.size < bound),
    "hasKeyword": _of_keyword(lambda email, wanted: wanted in email.keywords),
    "notKeyword": _of_keyword(lambda email, wanted: wanted not in email.keywords),
    "allInThreadHaveKeyword": _of_keyword(lambda email, wanted: wanted in email.thread.of_all),
    "someInThreadHaveKeyword": _of_keyword(lambda email, wanted: wanted in email.thread.of_some),
    "noneInThreadHaveKeyword": _of_keyword(
        lambda email, wanted: wanted not in email.thread.of_some
    ),
    "hasAttachment": _with_attachment,
    "text": _anywhere,
    **{name: _in_field(name) for name in ("from", "to", "cc", "bcc", "subject")},
    "body": _in_body,
    "header": _in_header,
}

IN_CONTENT = frozenset({"from", "to", "subject", "sentAt"})
"""What can be sorted by only with the header."""


def sort_key(email: Email, order: Order) -> str | float:  # noqa: PLR0911 -- one for each
    """What *email* is sorted by; its content is there if it is needed."""
    match order.name:
        case "receivedAt":
            return email.first.received
        case "size":
            return email.first.size
        case "hasKeyword":
            return order.keyword in email.keywords
        case "allInThreadHaveKeyword":
            return order.keyword in email.thread.of_all
        case "someInThreadHaveKeyword":
            return order.keyword in email.thread.of_some
        case "from" | "to":
            raw = _raw(email, order.name)
            mailboxes = read_addresses(line_of(raw)) if raw else []
            return (mailboxes[0].name or mailboxes[0].email).casefold() if mailboxes else ""
        case "subject":
            return _base_subject(text_of_field(_raw(email, "subject")))
        case _:  # "sentAt"
            return as_moment(_raw(email, "date"))


def _raw(email: Email, name: str) -> bytes:
    return b"" if email.content is None else email.content.header.last(name) or b""


def _base_subject(subject: str) -> str:
    """What all of a conversation have in common.

    >>> _base_subject("Re: [list] Fwd: Hello")
    'hello'
    """
    left = subject[:_MAX_SUBJECT]
    while (match := _REPLY.match(left)) is not None:
        left = left[match.end() :]
    return " ".join(left.split()).casefold()
