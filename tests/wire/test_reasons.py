"""What a refusal is about, by the words of known servers."""

from __future__ import annotations

import pytest

from mailward.wire.dialogue import Trouble
from mailward.wire.reasons import other_reason


@pytest.mark.parametrize(
    ("text", "trouble"),
    [
        (b"Login failed: remote authentication server unavailable", Trouble.SERVER),
        (
            b"5.7.8 Error: authentication failed: Can't connect to authentication server",
            Trouble.SERVER,
        ),
        (b"5.7.8 Error: authentication failed: Login disabled for this user", Trouble.ACCOUNT),
        (b"4.7.0 Try again", Trouble.SERVER),
        (b"Temporary system problem. [mx:2026-01-01 10:00:00]", Trouble.SERVER),
        (b"Internal login failure. Refer to server log for more information.", Trouble.SERVER),
        (b"account disabled", Trouble.ACCOUNT),
        (b"5.7.8 Error: authentication failed: Authorization failed", Trouble.ACCOUNT),
        (b"Maximum number of connections from user+IP exceeded (...=10)", Trouble.RIGHT),
    ],
)
def test_known_words_are_no_wrong_password(text: bytes, trouble: Trouble) -> None:
    found = other_reason(text)
    assert found is not None
    assert found[1] is trouble


@pytest.mark.parametrize(
    "text",
    [
        b"5.7.8 Error: authentication failed: (reason unavailable)",
        b"5.7.8 Error: authentication failed: UGFzc3dvcmQ6",
        b"5.7.8 no such user: temporary failure of joe",
        b"Login failed: authentication failure",
        b"Authentication failed.",
        b"Authorization failed",
        b"5.7.8 Authorization failed.",
        b"user not found",
        b"2.4.1.0 no",
        b"",
    ],
)
def test_all_else_is(text: bytes) -> None:
    assert other_reason(text) is None
