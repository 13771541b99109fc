"""Reads a script, strictly: what would fail at a delivery is refused when it is put here."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from mailward_mailbox.sieve.script import (
    AddressIs,
    AddressPart,
    AllOf,
    Always,
    AnyOf,
    Block,
    BodyIs,
    Command,
    Discard,
    EnvelopeIs,
    Exists,
    FileInto,
    HeaderIs,
    If,
    Keep,
    Match,
    Matcher,
    Not,
    Reject,
    Size,
    Stop,
    Test,
    Transform,
)
from mailward_mailbox.sieve.tokens import Kind, SieveError, Token, tokens

EXTENSIONS = ("fileinto", "reject", "ereject", "envelope", "body")
MAX_SCRIPT_OCTETS = 262_144
MAX_NESTING = 32
"""Of blocks and of tests (RFC 5228 section 2.10.5 asks for 15)."""
MAX_NAME_OCTETS = 255

_COMPARATORS = {"i;ascii-casemap": True, "i;octet": False}
_KNOWN = {*EXTENSIONS, *(f"comparator-{name}" for name in _COMPARATORS)}
_FIELD = re.compile(r"[\x21-\x39\x3b-\x7e]+\Z")
_ENVELOPE = {"from", "to"}
_STRINGS_BEGIN = "["


def parse(octets: bytes) -> Block:
    """The commands of a script.

    Raises:
        SieveError: it is too long, or breaks a rule.
    """
    if len(octets) > MAX_SCRIPT_OCTETS:
        raise SieveError(1, f"a script has {MAX_SCRIPT_OCTETS} octets at most")
    try:
        text = octets.decode("utf-8")
    except UnicodeDecodeError as error:
        line = octets.count(b"\n", 0, error.start) + 1
        raise SieveError(line, "a script is UTF-8") from None
    if "\0" in text:
        raise SieveError(text.count("\n", 0, text.index("\0")) + 1, "NUL is not allowed")
    return _Parser(text).script()


@dataclass
class _Tags:
    """What the tags in front of a test's arguments say."""

    match: Match = Match.IS
    folds: bool = True
    part: AddressPart = AddressPart.ALL
    transform: Transform = Transform.TEXT
    types: tuple[str, ...] = ()

    def matcher(self, keys: tuple[str, ...]) -> Matcher:
        return Matcher(self.match, self.folds, keys)


class _Parser:
    """By recursive descent, no deeper than it may."""

    def __init__(self, text: str) -> None:
        self._tokens = tokens(text)
        self._next = next(self._tokens)
        self._required: set[str] = set()

    def script(self) -> Block:
        while self._skip_word("require"):
            for name in self._strings():
                if name not in _KNOWN:
                    raise self._fault(f"there is no {name!a} here")
                self._required.add(name)
            self._mark(";")
        block = self._commands(0)
        if self._next.kind is not Kind.END:
            raise self._fault("there is a } too many")
        return block

    # -- commands ------------------------------------------------------------------------------

    def _commands(self, depth: int) -> Block:
        found: list[Command] = []
        while self._next.kind is Kind.WORD:
            found.append(self._command(depth))
        if self._next.kind is not Kind.END and self._next.text != "}":
            raise self._fault(f"a command is expected, not {self._next.text}")
        return tuple(found)

    def _command(self, depth: int) -> Command:
        word = self._take()
        if word.text == "if":
            return self._if(depth)
        command: Command
        match word.text:
            case "keep":
                command = Keep()
            case "discard":
                command = Discard()
            case "stop":
                command = Stop()
            case "fileinto":
                self._needs(word)
                command = FileInto(self._mailbox())
            case "reject" | "ereject":
                self._needs(word)
                command = Reject(self._string())
            case "require":
                raise SieveError(word.line, "require stands before everything else")
            case "elsif" | "else":
                raise SieveError(word.line, f"there is no if before {word.text}")
            case _:
                raise SieveError(word.line, f"there is no {word.text} here")
        self._mark(";")
        return command

    def _if(self, depth: int) -> If:
        branches = [(self._test(depth + 1), self._block(depth + 1))]
        while self._skip_word("elsif"):
            branches.append((self._test(depth + 1), self._block(depth + 1)))
        if self._skip_word("else"):
            branches.append((Always(holds=True), self._block(depth + 1)))
        return If(tuple(branches))

    def _block(self, depth: int) -> Block:
        self._check(depth)
        self._mark("{")
        block = self._commands(depth)
        self._mark("}")
        return block

    def _mailbox(self) -> str:
        name = self._string()
        if not name or len(name.encode()) > MAX_NAME_OCTETS or not name.isprintable():
            raise self._fault("no mailbox has that name")
        return name

    # -- tests ---------------------------------------------------------------------------------

    def _test(self, depth: int) -> Test:  # noqa: PLR0911 -- one for each test
        self._check(depth)
        if self._next.kind is not Kind.WORD:
            raise self._fault(f"a test is expected, not {self._next.text}")
        word = self._take()
        match word.text:
            case "true" | "false":
                return Always(word.text == "true")
            case "not":
                return Not(self._test(depth + 1))
            case "allof":
                return AllOf(self._tests(depth))
            case "anyof":
                return AnyOf(self._tests(depth))
            case "exists":
                return Exists(self._fields())
            case "size":
                return self._size()
            case _:
                return self._matching(word)

    def _matching(self, word: Token) -> Test:
        """A test that looks for keys."""
        match word.text:
            case "header":
                tags = self._tags()
                return HeaderIs(self._fields(), tags.matcher(self._strings()))
            case "address":
                tags = self._tags(self._part)
                return AddressIs(tags.part, self._fields(), tags.matcher(self._strings()))
            case "envelope":
                self._needs(word)
                tags = self._tags(self._part)
                names = tuple(name.lower() for name in self._strings())
                if not _ENVELOPE.issuperset(names):
                    raise self._fault("an envelope has from and to")
                return EnvelopeIs(tags.part, names, tags.matcher(self._strings()))
            case "body":
                self._needs(word)
                tags = self._tags(self._transform)
                return BodyIs(tags.transform, tags.types, tags.matcher(self._strings()))
            case _:
                raise SieveError(word.line, f"there is no test {word.text} here")

    def _tests(self, depth: int) -> tuple[Test, ...]:
        self._mark("(")
        found = [self._test(depth + 1)]
        while self._skip_mark(","):
            found.append(self._test(depth + 1))
        self._mark(")")
        return tuple(found)

    def _size(self) -> Size:
        tag = self._take()
        if tag.text not in {":over", ":under"}:
            raise SieveError(tag.line, ":over or :under is expected")
        number = self._take()
        if number.kind is not Kind.NUMBER:
            raise SieveError(number.line, "a number is expected")
        return Size(tag.text == ":over", int(number.text))

    def _tags(self, more: Callable[[_Tags, Token], bool] | None = None) -> _Tags:
        """The tags that come next; *more* knows those that not every test has."""
        tags = _Tags()
        while self._next.kind is Kind.TAG:
            tag = self._take()
            if tag.text in {one.value for one in Match}:
                tags.match = Match(tag.text)
            elif tag.text == ":comparator":
                name = self._string()
                if name not in _COMPARATORS:
                    raise SieveError(tag.line, f"there is no comparator {name!a} here")
                tags.folds = _COMPARATORS[name]
            elif more is None or not more(tags, tag):
                raise SieveError(tag.line, f"there is no {tag.text} here")
        return tags

    def _part(self, tags: _Tags, tag: Token) -> bool:
        if tag.text not in {one.value for one in AddressPart}:
            return False
        tags.part = AddressPart(tag.text)
        return True

    def _transform(self, tags: _Tags, tag: Token) -> bool:
        if tag.text not in {one.value for one in Transform}:
            return False
        tags.transform = Transform(tag.text)
        if tags.transform is Transform.CONTENT:
            tags.types = tuple(name.lower() for name in self._strings())
        return True

    # -- words ---------------------------------------------------------------------------------

    def _fields(self) -> tuple[str, ...]:
        """Names of header fields, in lower case."""
        names = self._strings()
        if not all(map(_FIELD.match, names)):
            raise self._fault("that is no name of a header field")
        return tuple(name.lower() for name in names)

    def _strings(self) -> tuple[str, ...]:
        if not self._skip_mark(_STRINGS_BEGIN):
            return (self._string(),)
        found = [self._string()]
        while self._skip_mark(","):
            found.append(self._string())
        self._mark("]")
        return tuple(found)

    def _string(self) -> str:
        if self._next.kind is not Kind.STRING:
            raise self._fault(f"a string is expected, not {self._next.text}")
        return self._take().text

    def _take(self) -> Token:
        taken = self._next
        if taken.kind is not Kind.END:
            self._next = next(self._tokens)
        return taken

    def _mark(self, mark: str) -> None:
        if not self._skip_mark(mark):
            raise self._fault(f"{mark} is expected")

    def _skip_mark(self, mark: str) -> bool:
        is_next = self._next.kind is Kind.MARK and self._next.text == mark
        if is_next:
            self._take()
        return is_next

    def _skip_word(self, word: str) -> bool:
        is_next = self._next.kind is Kind.WORD and self._next.text == word
        if is_next:
            self._take()
        return is_next

    def _needs(self, word: Token) -> None:
        if word.text not in self._required:
            raise SieveError(word.line, f'require "{word.text}" is missing')

    def _check(self, depth: int) -> None:
        if depth > MAX_NESTING:
            raise self._fault(f"it is nested deeper than {MAX_NESTING}")

    def _fault(self, why: str) -> SieveError:
        return SieveError(self._next.line, why)
