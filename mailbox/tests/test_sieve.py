"""What a script makes of a message."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.sieve.matching import Effort, fits
from mailward_mailbox.sieve.parser import MAX_NESTING, MAX_SCRIPT_OCTETS, parse
from mailward_mailbox.sieve.run import Decision, Filed, Rejected, RunError, decide
from mailward_mailbox.sieve.script import Match, Matcher
from mailward_mailbox.sieve.tokens import SieveError

MESSAGE = (
    b"From: Ann <ann@shop.example>\r\nTo: me@example.org, you@example.net\r\n"
    b"Subject: =?utf-8?q?Your_caf=C3=A9?= invoice\r\n (no. 7)\r\nX-Empty:\r\n"
    b"Content-Type: multipart/alternative; boundary=b\r\n\r\n"
    b"--b\r\nContent-Type: text/plain; charset=latin-1\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    b"UGF5IG5vdywg9g==\r\n--b\r\nContent-Type: text/html\r\n\r\n<p>later</p>\r\n--b--\r\n"
)
ALL = 'require ["fileinto", "reject", "ereject", "envelope", "body"];\n'
INBOX = Filed(("INBOX",))
NOWHERE = Filed(())


def run(script: str, message: bytes = MESSAGE) -> Decision:
    return decide((ALL + script).encode(), "ann@shop.example", "me@example.org", message)


def outcome(script: str, message: bytes) -> Decision | str:
    """What comes of it, or why nothing does."""
    try:
        return run(script, message)
    except RunError as error:
        return str(error)


@pytest.mark.parametrize(
    ("script", "decision"),
    [
        ("", INBOX),
        ("keep;", INBOX),
        ("discard;", NOWHERE),
        ("discard; keep;", INBOX),
        ('fileinto "A";', Filed(("A",))),
        ('fileinto "A"; keep; fileinto "A";', Filed(("A", "INBOX"))),
        ('reject "not here";', Rejected("not here")),
        ("ereject text: # why\r\nno,\r\n..never\r\n.\r\n;", Rejected("no,\r\n.never\r\n")),
        ("stop; discard;", INBOX),
        ("if true { stop; } discard;", INBOX),
        ("if false { stop; } elsif true { discard; } else { stop; }", NOWHERE),
        ("IF TRUE { DISCARD ; } # remark\n/* another */", NOWHERE),
    ],
)
def test_actions_do_what_the_book_says(script: str, decision: Decision) -> None:
    assert run(script) == decision


@pytest.mark.parametrize(
    ("test", "holds"),
    [
        ('header :contains "subject" "CAFé INVOICE (no"', True),
        ('header "subject" "invoice"', False),
        ('header :is ["a", "X-EMPTY"] ["b", ""]', True),
        ('header :comparator "i;octet" :contains "subject" "INVOICE"', False),
        ('header :matches "subject" "*caf?*no. ?)"', True),
        ('header :matches "subject" "Your*\\\\*"', False),
        ('header :matches "subject" "invoice"', False),
        ('address :all "from" "ANN@shop.example"', True),
        ('address :localpart ["from", "to"] "you"', True),
        ('address :domain :contains "to" "shop"', False),
        ('envelope :domain "from" "shop.example"', True),
        ('envelope "to" ["x", "me@example.org"]', True),
        ('exists ["from", "Subject"]', True),
        ('exists ["from", "Cc"]', False),
        ("size :over 1K", False),
        ("size :under 1k", True),
        ('body :contains "pay now, ö"', True),
        ('body :raw :contains "pay now"', False),
        ('body :raw :contains "UGF5IG5v"', True),
        ('body :content "text/html" :contains "later"', True),
        ('body :content "text/html" :contains "pay"', False),
        ("not true", False),
        ('allof (true, not false, header :contains "subject" "your")', True),
        ("anyof (false, false)", False),
    ],
)
def test_tests_hold_as_the_book_says(test: str, holds: bool) -> None:
    assert run(f"if {test} {{ discard; }}") == (NOWHERE if holds else INBOX)


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ('fileinto "A";', 'line 1: require "fileinto" is missing'),
        ('require "vacation";', "line 1: there is no 'vacation' here"),
        ('keep;\nredirect "a@b";', "line 2: there is no redirect here"),
        ('require "fileinto";\nkeep;\nrequire "body";', "line 3: require stands before"),
        ("keep", "line 1: ; is expected"),
        ("if true { keep;", "line 1: } is expected"),
        ("keep; }", "line 1: there is a } too many"),
        ("else { keep; }", "line 1: there is no if before else"),
        ('\n\nif header "a b" "c" { keep; }', "line 3: that is no name of a header field"),
        ('keep; "unfinished', "line 1: this cannot be read"),
        ("/* unfinished", "line 1: this cannot be read"),
        ("if size 5 { keep; }", "line 1: :over or :under is expected"),
        ('if header :regex "a" "b" { keep; }', "line 1: there is no :regex here"),
        ('if header :comparator "i;x" "a" "b" {}', "line 1: there is no comparator 'i;x' here"),
    ],
)
def test_what_would_fail_at_a_delivery_is_refused_at_once(script: str, why: str) -> None:
    with pytest.raises(SieveError) as error:
        parse(script.encode())
    assert str(error.value).startswith(why)


@pytest.mark.parametrize("script", [b"#\xff", b"#\0", b"#" * (MAX_SCRIPT_OCTETS + 1)])
def test_what_is_no_text_or_too_long_is_refused(script: bytes) -> None:
    with pytest.raises(SieveError):
        parse(script)


@pytest.mark.parametrize("deeper", ["if not ", "if allof(", "if anyof (true, ", "if true { "])
def test_nesting_is_bounded_however_deep_it_goes(deeper: str) -> None:
    script = deeper + deeper.removeprefix("if " if "{" not in deeper else "") * 15_000
    with pytest.raises(SieveError, match=f"deeper than {MAX_NESTING}"):
        parse(script.encode())


def test_what_is_both_rejected_and_kept_is_a_fault() -> None:
    with pytest.raises(RunError):
        run('reject "no"; keep;')


PIECES = "".join(f"*{one:05}?" for one in range(17_000))


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "script",
    [
        'if header :matches "subject" "' + "*a" * 200 + '*b" { discard; }',
        "if anyof (" + "false, " * 5_000 + 'header :contains "subject" "b") { discard; }',
        'if body :matches "' + "*a?" * 50 + '*b" { discard; }',
        'if body :raw :matches "*' + "a?" * 100_000 + 'b" { discard; }',
        "if anyof (" + f'header :matches "subject" "{PIECES}", ' * 2 + "false) { discard; }",
    ],
    ids=["stars", "tests", "marks", "marks in a body", "17,000 pieces"],
)
def test_no_script_takes_long(script: str) -> None:
    message = b"Subject: " + b"a" * 100_000 + b"\r\n\r\n" + b"a" * 3_000_000
    begun = time.process_time()
    assert outcome(script, message) in (INBOX, "it takes too long")
    assert time.process_time() - begun < 3  # 0.01 to 0.5 measured


@given(st.text("ab*?\\", max_size=8), st.text("ab*\\", max_size=9))
def test_matches_is_what_its_pattern_says(key: str, value: str) -> None:
    pattern = re.sub(
        r"\\(.)|(\*)|(\?)|(.)",
        lambda found: (found[2] and ".*") or (found[3] and ".") or re.escape(found[1] or found[4]),
        key,
    )
    matcher = Matcher(Match.MATCHES, folds=False, keys=[key])
    assert fits(matcher, value, Effort()) == bool(re.fullmatch(pattern, value, re.DOTALL))


@pytest.mark.parametrize("depth", [10, 1_000])
def test_parts_may_be_nested_as_deep_as_they_like(depth: int) -> None:
    nested = b"".join(
        b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
        for level in range(depth)
    )
    message = b"Subject: deep\r\n" + nested + b"\r\nfound\r\n"
    made = outcome('if body :contains "found" { discard; }', message)
    # What is deeper than anybody nests them is a file, and no text.
    assert made == (NOWHERE if depth == 10 else INBOX)


@pytest.mark.timeout(30)
@pytest.mark.parametrize(
    "message",
    [
        b'Content-Type: text/plain; a="' + b'\\";' * 80_000 + b"\r\n\r\nx",
        b"".join(
            b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (level, level)
            for level in range(200)
        )
        + b"\n--" * 300_000,
        b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\n\nx\n" * 140_000,
    ],
)
def test_no_message_takes_a_script_long(message: bytes) -> None:
    begun = time.process_time()
    assert outcome('if body :text :contains "found" { discard; }', message) == INBOX
    assert time.process_time() - begun < 5


def test_remarks_in_remarks_hide_one_address_at_most() -> None:
    message = b"From: " + b"(" * 8_000 + b"\r\nFrom: ann@example\r\n\r\n"
    assert run('if address "from" "ann@example" { discard; }', message) == NOWHERE


@pytest.mark.parametrize(
    "message", [b"", b"\r\n", b"no header at all", b"\xff\xfe: \xff\r\n\xff", b"Subject: \xe9\r\n"]
)
def test_strange_messages_are_looked_at_all_the_same(message: bytes) -> None:
    script = 'if anyof (header "subject" "x", address "from" "x", body "x") { discard; }'
    assert run(script, message) == INBOX
