"""Reads the arguments of SEARCH (RFC 9051 section 6.4.4)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from functools import partial

from mailward_mailbox.imap.search.fold import fold
from mailward_mailbox.imap.search.keys import (
    AllKeys,
    HasFlag,
    HasId,
    InBody,
    InField,
    InMessage,
    InNumbers,
    InUids,
    ModSeqFrom,
    NotKey,
    OfContent,
    ReceivedIn,
    ReturnOption,
    Search,
    SearchKey,
    SentIn,
    SizeIn,
    all_of,
    any_of,
    leaves,
)
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.model import ANSWERED, DELETED, DRAFT, FLAGGED, SEEN

MAX_CONTENT_KEYS = 20
"""Different keys that read whole messages: each is looked for in every text."""

_RETURN = re.compile(rb"RETURN (?=\()", re.IGNORECASE)
_CHARSET = re.compile(rb"CHARSET ", re.IGNORECASE)
_SET = re.compile(rb"(?=[0-9*$])")
_ENTRY = re.compile(rb'"/flags/[^"\x00-\x1f\x7f-\xff]{1,200}" (?:priv|shared|all) ', re.IGNORECASE)
_FLAGS = {
    b"ANSWERED": ANSWERED,
    b"DELETED": DELETED,
    b"DRAFT": DRAFT,
    b"FLAGGED": FLAGGED,
    b"RECENT": "\\Recent",
    b"SEEN": SEEN,
}
_RECENT = HasFlag("\\Recent")
_WORDS: Mapping[bytes, SearchKey] = {
    b"ALL": AllKeys(()),
    **{name: HasFlag(flag) for name, flag in _FLAGS.items()},
    **{b"UN" + name: NotKey(HasFlag(flag)) for name, flag in _FLAGS.items() if name != b"RECENT"},
    b"NEW": AllKeys((_RECENT, NotKey(HasFlag(SEEN)))),
    b"OLD": NotKey(_RECENT),
}
_FIELDS = frozenset({b"FROM", b"TO", b"CC", b"BCC", b"SUBJECT"})
_FOREVER = float("inf")
_LAST_DAY = date.max.toordinal() + 1


def parse_search(words: ImapWords) -> Search:
    """The arguments of SEARCH to the end of the command; *words* stands before the first.

    Raises:
        BadCommandError: they break the grammar or a cap.
    """
    options = None
    if words.match(_RETURN):
        options = frozenset(words.items(partial(_option, words), may_be_empty=True))
        options = options or frozenset({ReturnOption.ALL})
        words.space()
    if words.match(_CHARSET):
        if words.astring().upper() not in (b"UTF-8", b"US-ASCII"):
            return Search(AllKeys(()), options, has_known_charset=False)
        words.space()
    keys = [_key(words)]
    while words.skip(b" "):
        words.count()
        keys.append(_key(words))
    words.end()
    key = all_of(keys)
    if len({one for one in leaves(key) if isinstance(one, OfContent)}) > MAX_CONTENT_KEYS:
        raise BadCommandError("Too many BODY and TEXT keys")
    return Search(key, options)


def _option(words: ImapWords) -> ReturnOption:
    try:
        return ReturnOption(words.keyword())
    except ValueError:
        raise BadCommandError("Unknown RETURN option") from None


def _key(words: ImapWords) -> SearchKey:
    if words.starts(b"("):
        return all_of(words.items(partial(_key, words)))
    if words.match(_SET):
        return InNumbers(words.sequence_set())
    name = words.keyword()
    if name in _WORDS:
        return _WORDS[name]
    words.space()
    if name in _FIELDS:
        return InField(name.decode().lower(), _text(words))
    read = _READERS.get(name)
    if read is None:
        raise BadCommandError("Unknown SEARCH key")
    return read(words)


def _not(words: ImapWords) -> SearchKey:
    words.count()
    with words.nested():
        return NotKey(_key(words))


def _or(words: ImapWords) -> SearchKey:
    words.count()
    words.count()
    with words.nested():
        first = _key(words)
        words.space()
        return any_of((first, _key(words)))


def _text(words: ImapWords) -> str:
    try:
        return fold(words.astring().decode("utf-8"))
    except UnicodeDecodeError:
        raise BadCommandError("A string is not valid UTF-8") from None


def _field(words: ImapWords) -> SearchKey:
    name = words.astring().decode("latin-1").lower()
    words.space()
    return InField(name, _text(words))


def _received(words: ImapWords, *, has_first: bool, has_end: bool) -> SearchKey:
    day = words.date()
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
    return ReceivedIn(
        begin if has_first else -_FOREVER, begin + 86_400 * has_first if has_end else _FOREVER
    )


def _sent(words: ImapWords, *, has_first: bool, has_end: bool) -> SearchKey:
    day = words.date().toordinal()
    return SentIn(day if has_first else 0, day + has_first if has_end else _LAST_DAY)


def _modseq(words: ImapWords) -> SearchKey:
    words.match(_ENTRY)  # every flag has the message's modification sequence
    return ModSeqFrom(words.number64())


def _id(words: ImapWords, *, is_thread: bool) -> SearchKey:
    return HasId(words.astring().decode("latin-1"), is_thread)


_READERS: Mapping[bytes, Callable[[ImapWords], SearchKey]] = {
    b"NOT": _not,
    b"OR": _or,
    b"BODY": lambda words: InBody(_text(words)),
    b"TEXT": lambda words: InMessage(_text(words)),
    b"HEADER": _field,
    b"KEYWORD": lambda words: HasFlag(words.flag()),
    b"UNKEYWORD": lambda words: NotKey(HasFlag(words.flag())),
    b"BEFORE": partial(_received, has_first=False, has_end=True),
    b"ON": partial(_received, has_first=True, has_end=True),
    b"SINCE": partial(_received, has_first=True, has_end=False),
    b"SENTBEFORE": partial(_sent, has_first=False, has_end=True),
    b"SENTON": partial(_sent, has_first=True, has_end=True),
    b"SENTSINCE": partial(_sent, has_first=True, has_end=False),
    b"LARGER": lambda words: SizeIn(words.number64() + 1, 1 << 63),
    b"SMALLER": lambda words: SizeIn(0, words.number64()),
    b"UID": lambda words: InUids(words.sequence_set()),
    b"MODSEQ": _modseq,
    b"EMAILID": partial(_id, is_thread=False),
    b"THREADID": partial(_id, is_thread=True),
}
