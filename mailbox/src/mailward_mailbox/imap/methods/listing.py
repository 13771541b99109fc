"""LIST and LSUB (RFC 9051 section 6.3.9; RFC 5258, 5819, 6154; LSUB: RFC 3501 section 6.3.9)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from mailward_mailbox.imap.methods.mailboxes import read_status_items, write_status
from mailward_mailbox.imap.patterns import ListPattern
from mailward_mailbox.imap.state import SessionState
from mailward_mailbox.imap.words import BadCommandError, ImapWords
from mailward_mailbox.mail.model import DELIMITER, Mailbox

MAX_PATTERNS = 20
_SELECTIONS = {b"SUBSCRIBED", b"REMOTE", b"RECURSIVEMATCH", b"SPECIAL-USE"}
_RETURNS = {b"SUBSCRIBED", b"CHILDREN", b"SPECIAL-USE"}
_SPECIAL_USE = {
    "drafts": b"\\Drafts",
    "sent": b"\\Sent",
    "junk": b"\\Junk",
    "trash": b"\\Trash",
    "archive": b"\\Archive",
}


@dataclass(slots=True)
class ListRequest:
    """What one LIST or LSUB asks for."""

    patterns: list[str]
    selections: set[bytes] = field(default_factory=set)
    returns: set[bytes] = field(default_factory=set)
    status_items: list[bytes] = field(default_factory=list)
    is_lsub: bool = False

    @property
    def wants_subscribed(self) -> bool:
        return b"SUBSCRIBED" in self.selections

    @property
    def is_recursive(self) -> bool:
        return b"RECURSIVEMATCH" in self.selections

    @property
    def tells_child_info(self) -> bool:
        """RFC 5258 section 3.5."""
        return self.is_recursive and self.wants_subscribed and not self.is_lsub


@dataclass(slots=True)
class _Node:
    """A name in the hierarchy; without a *mailbox* there are only some below it."""

    name: str
    mailbox: Mailbox | None = None
    is_lost: bool = False
    """It is subscribed to, though there is no such mailbox any more."""
    has_children: bool = False
    has_selected_below: bool = False
    """One below it meets the selection options, and is not listed itself."""


async def list_mailboxes(state: SessionState, words: ImapWords) -> bytes:
    await _run(state, read_list(words, is_utf8=state.enabled.is_utf8))
    return b""


async def list_subscribed(state: SessionState, words: ImapWords) -> bytes:
    reference = state.mailbox_name(words)
    words.space()
    pattern = words.list_mailbox(is_utf8=state.enabled.is_utf8)
    words.end()
    selections = {b"SUBSCRIBED"}
    if "%" in pattern:
        selections.add(b"RECURSIVEMATCH")  # so that one may go down to those that are subscribed
    request = ListRequest([pattern and reference + pattern], selections, is_lsub=True)
    await _run(state, request)
    return b""


def read_list(words: ImapWords, *, is_utf8: bool) -> ListRequest:
    """Raises:
    BadCommandError: the arguments are not those of LIST.
    """
    selections: set[bytes] = set()
    words.space()
    if words.starts(b"("):
        selections = set(words.items(words.keyword, may_be_empty=True))
        if selections - _SELECTIONS:
            raise BadCommandError("Unknown selection option")
        if b"RECURSIVEMATCH" in selections and not selections & {b"SUBSCRIBED", b"SPECIAL-USE"}:
            raise BadCommandError("RECURSIVEMATCH needs another selection option")
        words.space()
    reference = words.mailbox(is_utf8=is_utf8)
    words.space()
    if words.starts(b"("):
        patterns = words.items(lambda: words.list_mailbox(is_utf8=is_utf8))
    else:
        patterns = [words.list_mailbox(is_utf8=is_utf8)]
    if len(patterns) > MAX_PATTERNS:
        raise BadCommandError("Too many patterns")
    request = ListRequest([pattern and reference + pattern for pattern in patterns], selections)
    if words.skip(b" "):
        if words.keyword() != b"RETURN":
            raise BadCommandError("Invalid argument")
        words.space()
        words.items(lambda: _read_return(words, request), may_be_empty=True)
    words.end()
    return request


def _read_return(words: ImapWords, request: ListRequest) -> None:
    option = words.keyword()
    if option == b"STATUS":
        words.space()
        request.status_items = read_status_items(words)
    elif option in _RETURNS:
        request.returns.add(option)
    else:
        raise BadCommandError("Unknown return option")


async def _run(state: SessionState, request: ListRequest) -> None:
    word = b"LSUB" if request.is_lsub else b"LIST"
    if request.patterns == [""]:
        # Only the delimiter is asked for.
        state.output.line(b'* %b (\\Noselect) "%b" ""' % (word, DELIMITER.encode()))
        return
    patterns = [ListPattern(pattern) for pattern in request.patterns if pattern]
    state.enabled.is_condstore |= b"HIGHESTMODSEQ" in request.status_items
    lost = await state.mail.lost_subscriptions() if request.wants_subscribed else ()
    for node in _tree(state, request, lost, patterns):
        await state.output.pause()
        if not any(pattern.matches(node.name) for pattern in patterns):
            continue
        if not _is_wanted(node, request):
            continue
        state.output.line(_line(state, request, node, word))
        if request.status_items and node.mailbox is not None:
            write_status(state, node.mailbox, request.status_items)


def _tree(
    state: SessionState,
    request: ListRequest,
    lost: Sequence[str],
    patterns: Sequence[ListPattern],
) -> Iterator[_Node]:
    """All names, the inbox first; those above a mailbox are there though they are none."""

    def is_told_above(node: _Node) -> bool:
        """RFC 5258 section 5, example 9: the client sees for itself those that are listed."""
        if not request.is_recursive or not _is_selected(node, request):
            return False
        return not any(pattern.matches(node.name) for pattern in patterns)

    nodes: dict[str, _Node] = {}
    for mailbox in state.mail.mailboxes():
        node = nodes.setdefault(mailbox.name, _Node(mailbox.name))
        node.mailbox = mailbox
        is_told = is_told_above(node)
        for parent in _above(node, nodes):
            parent.has_children = True
            parent.has_selected_below |= is_told
    for name in lost:
        node = nodes.setdefault(name, _Node(name))
        node.is_lost = True
        is_told = is_told_above(node)
        for parent in _above(node, nodes):
            parent.has_selected_below |= is_told
    yield from nodes.values()


def _above(node: _Node, nodes: dict[str, _Node]) -> Iterator[_Node]:
    above = node.name
    while DELIMITER in above:
        above = above.rpartition(DELIMITER)[0]
        yield nodes.setdefault(above, _Node(above))


def _is_selected(node: _Node, request: ListRequest) -> bool:
    """Whether the name itself meets the selection options."""
    if node.mailbox is None:
        met = {b"REMOTE", b"RECURSIVEMATCH", b"SUBSCRIBED"} if node.is_lost else {b"REMOTE"}
        return not request.selections - met
    if request.wants_subscribed and not node.mailbox.is_subscribed:
        return False
    return b"SPECIAL-USE" not in request.selections or node.mailbox.role in _SPECIAL_USE


def _is_wanted(node: _Node, request: ListRequest) -> bool:
    if _is_selected(node, request):
        return True
    return request.is_recursive and node.has_selected_below


def _line(state: SessionState, request: ListRequest, node: _Node, word: bytes) -> bytes:
    attributes: list[bytes] = []
    is_selected = _is_selected(node, request)
    if node.is_lost:
        attributes += [] if request.is_lsub else [b"\\Subscribed", b"\\NonExistent"]
    elif node.mailbox is None:
        attributes += [b"\\Noselect"] if request.is_lsub else [b"\\NonExistent", b"\\Noselect"]
    elif request.is_lsub and not is_selected:
        attributes.append(b"\\Noselect")
    if not request.is_lsub:
        if (
            node.mailbox is not None
            and node.mailbox.is_subscribed
            and (request.wants_subscribed or b"SUBSCRIBED" in request.returns)
        ):
            attributes.append(b"\\Subscribed")
        attributes.append(b"\\HasChildren" if node.has_children else b"\\HasNoChildren")
        if node.mailbox is not None and node.mailbox.role in _SPECIAL_USE:
            attributes.append(_SPECIAL_USE[node.mailbox.role])
    line = b'* %b (%b) "%b" %b' % (
        *(word, b" ".join(attributes), DELIMITER.encode(), state.written(node.name)),
    )
    if request.tells_child_info and node.has_selected_below:
        line += b' ("CHILDINFO" ("SUBSCRIBED"))'
    return line
