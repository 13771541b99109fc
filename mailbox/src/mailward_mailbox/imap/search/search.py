"""SEARCH and UID SEARCH: decides messages in bounded steps, cheap keys first, and answers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from mailward_mailbox.imap.errors import NoError
from mailward_mailbox.imap.fetch.strings import string
from mailward_mailbox.imap.output import Output
from mailward_mailbox.imap.reading import MessageReader, Numbered, ReadExtent
from mailward_mailbox.imap.search.keys import ReturnOption, Search
from mailward_mailbox.imap.search.matcher import Decision, SearchMatcher
from mailward_mailbox.imap.sequences import write_numbers
from mailward_mailbox.imap.view import MailboxView
from mailward_mailbox.message.parse import parse, parse_header


@dataclass(frozen=True, slots=True)
class SearchResponse:
    """How the result of one SEARCH is answered: by ESEARCH, with *tag*, where that is due."""

    search: Search
    tag: bytes
    is_extended: bool
    by_uid: bool

    def lines(self, found: Sequence[Numbered]) -> Iterator[bytes]:
        """The pieces of the response to *found*; none where only SAVE was asked for."""
        options = self.search.options or frozenset({ReturnOption.ALL})
        if options == {ReturnOption.SAVE}:
            return
        numbers = [message.uid if self.by_uid else number for number, message in found]
        if not self.is_extended:
            yield b"* SEARCH"
            yield b"".join(b" %d" % number for number in numbers)
            if found and self.search.uses_modseq:
                yield b" (MODSEQ %d)" % max(message.modseq for _, message in found)
        else:
            yield b"* ESEARCH (TAG %b)" % string(self.tag) + b" UID" * self.by_uid
            if ReturnOption.MIN in options and numbers:
                yield b" MIN %d" % numbers[0]
            if ReturnOption.MAX in options and numbers:
                yield b" MAX %d" % numbers[-1]
            if ReturnOption.ALL in options and numbers:
                yield b" ALL " + write_numbers(numbers)
            if ReturnOption.COUNT in options:
                yield b" COUNT %d" % len(numbers)
            if found and self.search.uses_modseq:
                told = named(found, options)
                yield b" MODSEQ %d" % max(message.modseq for _, message in told)
        yield b"\r\n"


def named(found: Sequence[Numbered], options: frozenset[ReturnOption]) -> Sequence[Numbered]:
    """What is saved, and what MODSEQ is about: all, or the first and the last (RFC 5182)."""
    ends = options & {ReturnOption.MIN, ReturnOption.MAX}
    if not ends or options & {ReturnOption.ALL, ReturnOption.COUNT} or not found:
        return found
    wanted = [found[0]] * (ReturnOption.MIN in ends) + [found[-1]] * (ReturnOption.MAX in ends)
    return list(dict.fromkeys(wanted))


async def search(
    view: MailboxView,
    asked: Search,
    output: Output,
    reader: MessageReader,
    *,
    tag: bytes,
    by_uid: bool,
) -> None:
    """Answer one command, and save its result in *view* where SAVE asks for that.

    Raises:
        BadCommandError: a sequence number is beyond the last.
        NoError: the character set is unknown.
    """
    if not asked.has_known_charset:
        if asked.saves:
            view.saved = []
        raise NoError("BADCHARSET (UTF-8)", "The character set is unknown")
    found = await _find(view, SearchMatcher(view, asked.key), output, reader)
    if asked.saves and asked.options is not None:
        view.saved = [message.uid for _, message in named(found, asked.options)]
    is_extended = asked.options is not None or view.enabled.is_rev2
    for piece in SearchResponse(asked, tag, is_extended, by_uid).lines(found):
        await output.send(piece)


async def _find(
    view: MailboxView, matcher: SearchMatcher, output: Output, reader: MessageReader
) -> Sequence[Numbered]:
    """The messages that have it, in their order."""
    found: list[Numbered] = []
    left: list[Numbered] = []

    def keep(one: Numbered, decision: Decision) -> None:
        if decision is None:
            left.append(one)
        elif decision:
            found.append(one)

    def of_header(one: Numbered, octets: bytes) -> Decision:
        return matcher.decide(one, matcher.text(parse_header(octets)))

    def of_whole(one: Numbered, octets: bytes) -> Decision:
        return matcher.decide(one, matcher.text(parse_header(octets), parse(octets)))

    for one in view.everything():
        keep(one, matcher.decide(one))
        await output.pause()
    for extent, work, is_due in (
        (ReadExtent.HEADER, of_header, matcher.reads_header),
        (ReadExtent.WHOLE, of_whole, matcher.reads_body),
    ):
        if is_due:
            undecided, left = left, []
            async for one, decision in reader.each(view.mail, undecided, extent, work):
                keep(one, decision)
    return sorted(found, key=lambda one: one[0])
