"""The built-in mail server's names and the front door's: they agree on every account's."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from mailward_mailbox.accounts.errors import UnfitAccountError
from mailward_mailbox.accounts.names import fit_account_name
from mailward_mailbox.accounts.naming import AccountNaming

from mailward.rules.logins import LoginFormat, Naming

_DOMAINS = st.sampled_from(["", "example.org", "mail.example", "xn--bcher-kva.example"])
_SPELLINGS = st.sampled_from(
    [
        *"aAbB09@@%%+-_. =\t\0/:*ß\u200b\u00ad\uff41\uff20\u2168",
        *"\u0130\u212a\ufb01\u0338\u3002\u2028",
        *("example.org", "bücher.example", "BÜCHER.example", "alias.example", "jdoe"),
    ]
)
_NAMES = st.one_of(st.lists(_SPELLINGS, max_size=12).map("".join), st.text(max_size=20))


@st.composite
def both(draw: st.DrawFn) -> tuple[Naming, AccountNaming]:
    """The same settings for either."""
    domain, translation = draw(_DOMAINS), draw(st.sampled_from(["", "%@", "=-\uff0ba", "a\u0338"]))
    aliases = draw(st.sampled_from([{}, {"alias.example": "example.org"}]))
    is_local, separator = draw(st.booleans()), draw(st.sampled_from(["", "+", "-", "--"]))
    login_format = LoginFormat.LOCAL_PART if is_local else LoginFormat.FULL
    return (
        Naming(domain, login_format, aliases, "", translation, separator),
        AccountNaming(domain, aliases, is_local, translation, separator),
    )


@given(both(), _NAMES)
def test_what_the_front_door_counts_as_an_accounts_login_is_that_account(
    namings: tuple[Naming, AccountNaming], text: str
) -> None:
    counted, own = namings
    raw = text.encode("utf-8", "surrogatepass")
    login, account = counted.login(raw), own.login(raw)
    if login is not None and login.isascii() and login.isprintable() and ":" not in login:
        assert account == login
    else:
        # A digest, or a name that no account may have.
        assert account is None or login == account


@given(both(), _NAMES)
def test_the_name_that_an_account_gets_is_the_login_that_is_counted(
    namings: tuple[Naming, AccountNaming], text: str
) -> None:
    counted, own = namings
    try:
        name = fit_account_name(text, own)
    except UnfitAccountError:
        return
    assert counted.login_from_text(text) == name


def test_octets_that_are_no_utf_8_name_no_account() -> None:
    assert AccountNaming().login(b"\xff") is None
    assert AccountNaming().login(b"x" * 256) is None
    assert AccountNaming().login(b" ") is None
