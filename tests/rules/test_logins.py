from __future__ import annotations

import re
import unicodedata
from dataclasses import replace

import idna
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailward.rules.logins import MAX_NAME_OCTETS, LoginFormat, Naming, domain_a_labels, fold_text
from mailward.rules.model import Login, Subject, SubjectKind, subject_from_key

PLAIN = Naming()
DEFAULTED = Naming(default_domain="example.org")
ALIASED = Naming(default_domain="example.net", domain_aliases={"example.net": "example.org"})
LOCAL = Naming(default_domain="example.org", login_format=LoginFormat.LOCAL_PART)
SPELLED = Naming(
    default_domain="example.org", master_separator="*", translation="%@#=", detail_separator="+"
)
NAMINGS = st.sampled_from(
    [
        *(PLAIN, DEFAULTED, ALIASED, LOCAL, SPELLED),
        replace(SPELLED, default_domain="", master_separator=""),
        replace(SPELLED, login_format=LoginFormat.LOCAL_PART),
        replace(SPELLED, translation="%+"),
    ]
)

# Text that is hard on names: signs that fold, join, vanish, separate or are whole words.
HARD = st.sampled_from(
    [
        *"%%#++\u0338",
        *"aA@@.*: -_%\t\x00\x85ßẞ\u017f\u212aİςée\u0301\uff21\uff20\u0345\u1100\u1161ﬁ\ufdfa",
        *"\u200b\u00ad\ufeff\u202e\u3002\uff0e\u2028\U000e0001",
        *("xn--", "bücher", "example.org", "example.net"),
    ]
)
NAMES = st.lists(HARD | st.text(max_size=4), max_size=8).map("".join)
WIRE_NAMES = NAMES.map(lambda name: name.encode("utf-8", "ignore")) | st.binary(max_size=20)
DIGEST = re.compile("SHA256:[0-9a-f]{64}")


def one_login(naming: Naming, *names: str | bytes) -> Login | None:
    """The one login that all *names* are."""
    raw = (name if isinstance(name, bytes) else name.encode() for name in names)
    logins = {naming.login(name) for name in raw}
    assert len(logins) == 1, logins
    return logins.pop()


@given(NAMINGS, WIRE_NAMES)
@example(LOCAL, b"jdoe @example.org")
@example(Naming(default_domain="example.org", master_separator="*"), b"victim*")
@example(LOCAL, b"jdoe@@")
@example(LOCAL, b"@")
def test_a_login_that_is_read_again_is_itself(naming: Naming, raw: bytes) -> None:
    login = naming.login(raw)
    if login is not None:
        assert naming.login_from_text(login) == login
        if not DIGEST.fullmatch(login):
            assert naming.login(login.encode()) == login


@given(NAMINGS, WIRE_NAMES)
def test_what_is_stored_and_shown_can_hurt_nobody(naming: Naming, raw: bytes) -> None:
    login = naming.login(raw)
    if login is not None:
        assert login
        assert len(login.encode()) <= MAX_NAME_OCTETS
        assert not {unicodedata.category(char) for char in login} & {"Cc", "Cs", "Zl", "Zp"}


@given(NAMINGS, NAMES)
def test_case_width_and_invisible_characters_make_no_new_login(naming: Naming, name: str) -> None:
    wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in name)
    one_login(naming, name, f" \t{name}\n", wide, f"\u2060{name}\ufeff", fold_text(name))


@given(NAMINGS, st.from_regex(r"[a-z][a-z0-9._-]{0,20}", fullmatch=True))
def test_a_usual_name_is_one_login_in_any_case(naming: Naming, name: str) -> None:
    one_login(naming, name, name.upper(), name.title(), "".join(f"{c}\u00ad" for c in name))


@given(
    st.lists(st.from_regex(r"[a-z0-9._-]{1,12}(@[a-z0-9.-]{1,12})?", fullmatch=True), unique=True)
)
def test_usual_names_that_differ_are_logins_that_differ(names: list[str]) -> None:
    assert len({PLAIN.login(name.encode()) for name in names}) == len(names)


def test_a_name_without_a_domain_has_the_default_one() -> None:
    assert one_login(DEFAULTED, "jdoe", "JDoe@Example.ORG", " jdoe ") == "jdoe@example.org"
    assert one_login(ALIASED, "jdoe", "jdoe@example.net", "jdoe@example.org") == "jdoe@example.org"
    assert one_login(PLAIN, "jdoe") == "jdoe"


def test_an_international_domain_has_one_spelling() -> None:
    a_label = "jdoe@xn--bcher-kva.example"
    spellings = ["jdoe@bücher.example", "jdoe@BÜCHER.EXAMPLE", "jdoe@bu\u0308cher\u3002example"]
    assert one_login(PLAIN, a_label, "jdoe@XN--BCHER-KVA.Example", *spellings) == a_label
    aliased = Naming(domain_aliases={"xn--bcher-kva.example": "books.example"})
    assert one_login(aliased, *spellings) == "jdoe@books.example"


def test_a_domain_that_dns_cannot_spell_is_kept() -> None:
    for domain in ("bü..example", "bü_cher.example", "ü" * 64, "-ü"):
        with pytest.raises(idna.IDNAError):
            idna.encode(domain, uts46=True)
        assert domain_a_labels(domain) == domain


def test_a_server_that_ignores_the_domain_has_one_account_for_all_of_them() -> None:
    spellings = ["jdoe", "jdoe@", "JDOE@a", "jdoe@a@b", "jdoe@@", "jdoe @a", "jdoe@a.example"]
    assert one_login(LOCAL, *spellings) == "jdoe"
    assert LOCAL.login(b"@a") == "@a"


def test_the_master_user_counts_and_not_his_victim() -> None:
    master = Naming(default_domain="example.org", master_separator="*")
    assert one_login(master, "victim*master", "other*MASTER", "victim@a*master", "*master") == (
        "master@example.org"
    )
    assert master.login(b"victim*") == "victim*@example.org"
    assert PLAIN.login(b"victim*master") == "victim*master"


@pytest.mark.parametrize("name", ["", " ", "\t\n", "\u200b", " \ufeff \u00ad"])
def test_an_empty_name_is_nobody(name: str) -> None:
    for naming in (PLAIN, DEFAULTED, LOCAL, Naming(master_separator="*")):
        assert naming.login(name.encode()) is None
        assert naming.login_from_text(name) is None


@pytest.mark.parametrize(
    "raw",
    [
        *(b"jd\x00oe", b"a\x07b", b"a\x1b[31mb", b"a\nb", b"a\x7fb", b"a\xc2\x85b"),
        *(b"a\xe2\x80\xa8b", b"\xff", b"jd\xc3", b"\xed\xa0\x80", b"\xc0\xae"),
        *(b"n" * 256, "ü".encode() * 128, b"x" * 250 + b"@a.example", "\ufdfa".encode() * 20),
    ],
)
def test_a_name_that_could_hurt_is_a_digest(raw: bytes) -> None:
    login = PLAIN.login(raw)
    assert login is not None
    assert DIGEST.fullmatch(login)
    assert PLAIN.login_from_text(login) == login


def test_the_longest_name_is_kept_as_it_is() -> None:
    assert PLAIN.login(b"n" * 255) == "n" * 255


@given(st.binary(min_size=1, max_size=30), st.binary(min_size=1, max_size=30))
def test_two_names_in_no_encoding_are_two_logins(one: bytes, other: bytes) -> None:
    broken = [b"\xff" + one, b"\xff" + other]
    assert (PLAIN.login(broken[0]) == PLAIN.login(broken[1])) == (one == other)


def test_a_long_name_is_one_login_in_any_case() -> None:
    one_login(PLAIN, "n" * 300, "N" * 300, " " + "n" * 300)


@given(NAMINGS, WIRE_NAMES.filter(bool))
def test_no_name_from_the_wire_can_be_taken_for_a_digest(naming: Naming, raw: bytes) -> None:
    login = naming.login(raw)
    if login is None:
        return
    digest = PLAIN.login(b"\xff" + raw)
    assert digest is not None
    forged = naming.login(digest.encode())
    assert forged is not None
    assert forged != digest
    assert not DIGEST.fullmatch(forged)


@given(NAMES)
def test_folding_a_folded_text_changes_nothing(text: str) -> None:
    assert fold_text(fold_text(text)) == fold_text(text)


@given(st.text(st.characters(), max_size=8))
def test_what_an_operator_types_never_breaks_the_reading(text: str) -> None:
    for naming in (PLAIN, DEFAULTED, LOCAL):
        login = naming.login_from_text(text)
        assert login is None or naming.login_from_text(login) == login


# Keys.

SUBJECTS = st.builds(Subject, st.sampled_from(SubjectKind), st.text())


@given(SUBJECTS, SUBJECTS)
def test_two_subjects_never_share_a_key(one: Subject, other: Subject) -> None:
    assert (one.key == other.key) == (one == other)


@given(SUBJECTS)
def test_a_key_leads_back_to_its_subject(subject: Subject) -> None:
    assert subject_from_key(subject.key) == subject


@given(SUBJECTS)
def test_a_login_that_is_spelled_like_a_key_is_a_login(subject: Subject) -> None:
    login = Subject(SubjectKind.LOGIN, subject.key)
    assert login != subject
    assert subject_from_key(login.key) == login


@pytest.mark.parametrize("key", ["", "login", "planet:mars", "LOGIN:ada", " login:ada", ":ada"])
def test_a_key_of_no_known_kind_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"SubjectKind|no kind"):
        subject_from_key(key)


def test_a_domain_too_long_for_dns_is_counted_as_it_stands() -> None:
    label = "\U00020000" * 64
    assert domain_a_labels(f"{label}.example") == f"{label}.example"
    assert domain_a_labels("ü." * 127) == "ü." * 127


def test_a_translated_character_makes_no_other_account() -> None:
    translated = replace(DEFAULTED, translation="%@#@")
    spellings = [
        "jdoe@example.org",
        "JDoe%Example.org",
        "jdoe#example.org",
        "jdoe\uff05example.org",
    ]
    assert one_login(translated, *spellings, "jdoe") == "jdoe@example.org"
    assert PLAIN.login(b"jdoe%example.org") == "jdoe%example.org"


def test_a_detail_makes_no_other_account_and_the_domain_stays() -> None:
    detailed = replace(DEFAULTED, detail_separator="+")
    assert one_login(
        detailed,
        *("jdoe", "jdoe+work", "jdoe+", "jdoe+a+b", "jdoe +x", "JDOE+X@example.org"),
        *("jdoe@example.org", "jdoe@example.org+x", "jdoe+a@example.org+b", "jdoe\uff0bx"),
    ) == ("jdoe@example.org")
    assert one_login(detailed, "jdoe+x@example.net") == "jdoe@example.net"
    assert detailed.login(b"+x") == "+x@example.org"  # nobody is left without it


@given(
    st.from_regex(r"[a-z][a-z0-9._-]{0,9}", fullmatch=True),
    st.from_regex(r"[a-z0-9+%#._-]{0,9}", fullmatch=True),
    st.sampled_from(["", "@", "%", "#"]),
    st.sampled_from(["example.org", "EXAMPLE.org"]),
)
def test_no_spelling_of_an_account_makes_a_second_subject(
    name: str, detail: str, at: str, domain: str
) -> None:
    naming = replace(DEFAULTED, translation="%@#@", detail_separator="+")
    detail = detail.replace("%", "").replace("#", "")
    end = f"{at}{domain}" if at else ""
    assert one_login(naming, name, f"{name}{end}", f"{name}+{detail}{end}", f"{name}{end}+{detail}")


def test_the_steps_come_in_their_order() -> None:
    """Who proves himself, then characters, then details, then the domain."""
    assert one_login(SPELLED, "victim+x*Master+y%Example.org", "master@example.org") == (
        "master@example.org"
    )
    assert SPELLED.login(b"a#b") == "a=b@example.org"
    local = replace(SPELLED, login_format=LoginFormat.LOCAL_PART)
    assert one_login(local, "jdoe+x%a", "jdoe%b+y", "jdoe") == "jdoe"


@pytest.mark.parametrize(
    ("raw", "authorization", "login", "mailbox"),
    [
        (b"Ada", b"", "ada@example.org", "ada@example.org"),
        (b"boss", b" VICTIM ", "boss@example.org", "victim@example.org"),
        (b"Victim+x%Example.ORG*boss", b"", "boss@example.org", "victim@example.org"),
        (b"victim*", b"", "victim*@example.org", "victim*@example.org"),
        (b"*boss", b"", "boss@example.org", None),
        (b"a*b*c", b"", "c@example.org", "a@example.org"),
        (b"victim*boss", b"third", "boss@example.org", "third@example.org"),
        (b"", b"", None, None),
    ],
)
def test_a_mailbox_is_normalised_as_a_login_is(
    raw: bytes, authorization: bytes, login: str | None, mailbox: str | None
) -> None:
    naming = Naming(
        default_domain="example.org", master_separator="*", translation="%@", detail_separator="+"
    )
    assert (naming.login(raw), naming.mailbox(raw, authorization)) == (login, mailbox)
    assert naming.names(raw, authorization) == {name for name in (login, mailbox) if name}
