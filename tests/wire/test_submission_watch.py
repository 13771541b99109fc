from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.wire.dialogue import SecondLoginError
from mailward.wire.smtp.watch import SubmissionWatch
from tests.wire.test_cuts import CUTS, pieces

CODES = st.integers(200, 599).filter(lambda code: code not in {220, 235, 334, 354, 535})
TEXTS = st.binary(max_size=60).map(lambda text: text.replace(b"\r", b"").replace(b"\n", b""))


def reply(code: int, texts: list[bytes]) -> bytes:
    lines = [b"%d-%b\r\n" % (code, text) for text in texts[:-1]]
    return b"".join(lines) + b"%d %b\r\n" % (code, texts[-1])


def waiting(replies: int) -> SubmissionWatch:
    """A watch whose backend owes that many replies."""
    watch = SubmissionWatch(chunking=False, literal=b"[192.0.2.7]")
    watch.from_client(b"NOOP\r\n" * replies)
    return watch


REPLIES = st.builds(reply, CODES, st.lists(TEXTS, min_size=1, max_size=4))
KEYWORDS = st.sampled_from(
    [b"PIPELINING", b"SIZE 1000", b"STARTTLS", b"starttls", b"XCLIENT NAME", b"XFORWARD ADDR", b"X"]
)


@given(replies=st.lists(REPLIES, max_size=6), cuts=CUTS)
def test_replies_that_name_no_second_login_pass_octet_by_octet(
    replies: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(replies)
    watch = waiting(len(replies))
    assert b"".join(map(watch.from_backend, pieces(stream, cuts))) == stream


@given(keywords=st.lists(KEYWORDS, max_size=8), cuts=CUTS)
def test_ehlo_loses_what_would_begin_anew_and_stays_well_formed(
    keywords: list[bytes], cuts: list[int]
) -> None:
    watch = waiting(1)
    parts = pieces(reply(250, [b"mail.example.org", *keywords]), cuts)
    hidden = (b"STARTTLS", b"XCLIENT", b"XFORWARD")
    kept = [word for word in keywords if not word.upper().startswith(hidden)]
    assert b"".join(map(watch.from_backend, parts)) == reply(250, [b"mail.example.org", *kept])


@pytest.mark.parametrize(
    ("code", "failed"), [(220, False), (235, False), (334, False), (535, True)]
)
@given(before=st.lists(REPLIES, max_size=2), text=TEXTS, cuts=CUTS)
def test_no_octet_of_a_second_login_passes(
    code: int, failed: bool, before: list[bytes], text: bytes, cuts: list[int]
) -> None:
    watch = waiting(len(before) + 1)
    honest = b"".join(before)
    passed = bytearray()

    def pass_all() -> None:
        for part in pieces(honest + reply(code, [text, text]), cuts):
            passed.extend(watch.from_backend(part))

    with pytest.raises(SecondLoginError) as raised:
        pass_all()
    assert raised.value.failed is failed
    assert honest.startswith(passed)


def test_a_reply_to_what_was_no_command_ends_the_session_unseen() -> None:
    watch = waiting(1)
    assert watch.from_backend(b"250 ok\r\n") == b"250 ok\r\n"
    with pytest.raises(SecondLoginError) as ended:
        watch.from_backend(b"503 5.5.1 Error: already authenticated\r\n")
    assert not ended.value.failed


def test_a_message_may_read_as_a_second_login_does_and_be_refused() -> None:
    watch = waiting(0)
    watch.from_client(b"DATA\r\n")
    watch.from_backend(b"354 go ahead\r\n")
    watch.from_client(b"AUTH PLAIN is what I write about\r\n.\r\n")
    assert watch.from_backend(b"550 5.7.1 no\r\n") == b"550 5.7.1 no\r\n"
    watch.from_client(b"MAIL FROM:<a@b.test>\r\n")
    assert watch.from_backend(b"530 5.7.0 no\r\n") == b"530 5.7.0 no\r\n"
