"""The fuzz drivers of FETCH and SEARCH: their arguments, and messages of any octets."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from mailward_mailbox.imap.fetch.items import FetchItem
from mailward_mailbox.imap.fetch.parse import parse_fetch_items
from mailward_mailbox.imap.fetch.render import FetchedMessage, FetchResponse, render
from mailward_mailbox.imap.fetch.sections import Span
from mailward_mailbox.imap.search.keys import InBody, InMessage, Search, all_of, any_of
from mailward_mailbox.imap.search.matcher import SearchMatcher
from mailward_mailbox.imap.search.parse import parse_search
from mailward_mailbox.imap.search.search import SearchResponse
from mailward_mailbox.imap.search.text import found_in_body, header_text, sent_day
from mailward_mailbox.imap.view import Enabled, MailboxView
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.instant import Instant
from mailward_mailbox.mail.account import AccountMail
from mailward_mailbox.mail.file import MailFile
from mailward_mailbox.mail.model import Message
from mailward_mailbox.message.parse import parse, parse_header

_MESSAGE = (
    b"From: A <a@b>\r\nDate: 1 Jan 2026 10:00 +0000\r\nContent-Type: multipart/mixed; boundary=b"
    b"\r\n\r\n--b\r\n\r\nbody\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nSubject: in\r\n\r\n"
    b"x\r\n--b--\r\n"
)
_ITEMS = (
    b"(UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY BODYSTRUCTURE BODY[] BODY[HEADER]"
    b" BODY[TEXT] BODY[1] BODY[1.MIME] BODY[1.1] BODY[2.HEADER] BODY[2.1.1] BODY[1]<1.5>"
    b" BODY[HEADER.FIELDS (SUBJECT)] BODY[HEADER.FIELDS.NOT (SUBJECT)] BINARY[1] BINARY[2]<1.9>"
    b" BINARY[1.1] BINARY.SIZE[1] BINARY.SIZE[1.2] MODSEQ EMAILID THREADID)"
)
_TOKEN = re.compile(
    rb'"(?:[^"\\\r\n\x00]|\\["\\])*+"|~?\{(\d+)\}\r\n|BODY\[[^\r\n]*?\](?:<\d+>)?'
    rb'|[^\s()"{}]++|[ ()]'
)


def embedded_fetch(octets: bytes) -> None:
    """The arguments of FETCH: refused, or all items are answered with octets of the message."""
    with suppress(BadCommandError):
        words = ImapWords([octets])
        for item in parse_fetch_items(words, is_uid=False).items:
            _check(_response(_MESSAGE, (item,), is_utf8=False), _MESSAGE)


def embedded_fetch_message(octets: bytes) -> None:
    """A message of any octets has a response that its client can read."""
    items = parse_fetch_items(ImapWords([_ITEMS]), is_uid=True).items
    for is_utf8 in (False, True):
        response = _response(octets, items, is_utf8=is_utf8)
        _check(response, octets)


def embedded_search(octets: bytes) -> None:
    """The arguments of SEARCH: refused, or each message is found or not once it was read."""
    with suppress(BadCommandError):
        asked = parse_search(ImapWords([octets]))
        _match(asked, _MESSAGE)
        assert all_of([asked.key, asked.key]) == any_of([asked.key]) == asked.key


def embedded_search_message(octets: bytes) -> None:
    """A message of any octets can be searched."""
    root = parse(octets)
    header_text(root.header)
    sent_day(root.header)
    texts = ["a", "\r\n", "", "not there at all"]
    found = found_in_body(root, texts, has_headers=False)
    assert {""} <= found <= found_in_body(root, texts, has_headers=True)
    _match(Search(any_of([InBody("a"), InMessage("body")])), octets)


def _response(octets: bytes, items: tuple[FetchItem, ...], *, is_utf8: bool) -> FetchResponse:
    message = Message("m", 7, "e", "t", "b", len(octets), Instant(0.0), frozenset(), 9)
    return render(FetchedMessage(3, message, items, b"(\\Seen)", octets), is_utf8=is_utf8)


def _check(response: FetchResponse, octets: bytes) -> None:
    """What is sent can be read as one response, with brackets in pairs."""
    sent = b"".join(
        octets[one.start : one.end] if isinstance(one, Span) else one for one in response.pieces
    )
    if not sent:
        assert response.has_unknown_encoding
        return
    assert sent.endswith(b")\r\n")
    at, depth, end = 0, 0, len(sent) - 2
    while at < end:
        token = _TOKEN.match(sent, at, end)
        assert token is not None, sent[at : at + 80]
        at = token.end()
        depth += {b"(": 1, b")": -1}.get(token[0], 0)
        assert depth >= 0
        if token[1] is not None:
            literal = sent[at : at + int(token[1])]
            assert len(literal) == int(token[1])
            assert token[0].startswith(b"~") or b"\0" not in literal
            at += len(literal)
    assert depth == 0
    assert at == end


@cache
def _view() -> MailboxView:
    """Of a mailbox that has three messages."""
    with TemporaryDirectory() as folder:
        file = MailFile(Path(folder) / "a.db", "a", Instant(0.0))
        modseq, mailboxes = file.load()
        file.close()
    mail = AccountMail("a", file, (modseq, mailboxes), ThreadPoolExecutor(1), lambda: Instant(0.0))
    view = MailboxView(mail, mailboxes[0], Enabled(), is_read_only=True)
    view.uids = [2, 3, 7]
    return view


def _match(asked: Search, octets: bytes) -> None:
    view = _view()
    matcher = SearchMatcher(view, asked.key)
    message = Message("m", 7, "e", "t", "b", len(octets), Instant(0.0), frozenset({"a"}), 9)
    one = (3, message)
    header = parse_header(octets)
    decisions = [
        matcher.decide(one),
        matcher.decide(one, matcher.text(header)),
        matcher.decide(one, matcher.text(header, parse(octets))),
    ]
    assert decisions[-1] is not None
    assert all(decision in (None, decisions[-1]) for decision in decisions)
    for is_extended in (False, True):
        response = SearchResponse(asked, b"t", is_extended, by_uid=True)
        for found in ([], [one]):
            assert b"".join(response.lines(found)).count(b"\n") <= 1
