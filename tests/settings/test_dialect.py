"""The dialect: TOML, sets, and the line of every key."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailward.settings.dialect import Form, read_keys
from mailward.settings.errors import SettingsError

NETWORKS = "server.security.blocked-networks"


def values(text: str) -> dict[str, str]:
    return {key: entry.value for key, entry in read_keys(text).items()}


def lines(text: str) -> dict[str, int]:
    return {key: entry.line for key, entry in read_keys(text).items()}


def fault(text: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read_keys(text, "mail.toml")
    return str(caught.value)


def test_the_examples_of_the_documentation_read_as_they_stand() -> None:
    assert values('[server.security]\nfail2ban = "100/1d"\n') == {
        "server.security.fail2ban": "100/1d"
    }
    text = '[server.security]\nblocked-networks = { "192.168.0.20", "10.0.0.0/8" }\n'
    assert values(text) == {f"{NETWORKS}.192.168.0.20": "", f"{NETWORKS}.10.0.0.0/8": ""}


def test_both_examples_fit_under_one_header() -> None:
    text = (
        '[server.security]\nfail2ban = "100/1d"\n'
        'blocked-networks = { "192.168.0.20", "10.0.0.0/8" }\n'
    )
    assert lines(text) == {
        "server.security.fail2ban": 2,
        f"{NETWORKS}.192.168.0.20": 3,
        f"{NETWORKS}.10.0.0.0/8": 3,
    }


@pytest.mark.parametrize(
    "literal",
    [
        '{ "a", "b" }',
        "{'a','b'}",
        "{ \"a\", 'b' }",
        '{"a","b",}',
        '{\n  "a",\n  "b"\n}',
        '{ # first }\n  "a", # "c"\n\n  "b" , # }\n}',
        '{\r\n  "a",\r\n  "b",\r\n}',
        '["a", "b"]',
        '[\n"a", # one\n"b",\n]',
        '{ "a" = "", "b" = "" }',
        '{ a = "", b = "" }',
        "{ \"\"\"a\"\"\", '''b''' }",
        '{ "\\u0061", "b" }',
        '{ "a", "b", "a" }',
    ],
)
def test_every_way_of_writing_a_list_gives_the_same_keys(literal: str) -> None:
    assert values(f"names = {literal}\nnext = 1\n") == {"names.a": "", "names.b": "", "next": "1"}


def test_a_sub_table_may_say_something_of_each_member() -> None:
    text = f'[{NETWORKS}]\n"192.0.2.1" = "tried all night"\n"2001:db8::/32" = ""\n'
    assert values(text) == {
        f"{NETWORKS}.192.0.2.1": "tried all night",
        f"{NETWORKS}.2001:db8::/32": "",
    }


@pytest.mark.parametrize("literal", ["{}", "{ }", "{\n}", "{ # none yet\n}", "[]", "[\n]"])
def test_an_empty_list_is_seen_to_be_there(literal: str) -> None:
    (entry,) = read_keys(f"names = {literal}\n").values()
    assert entry.form is Form.EMPTY


def test_an_empty_table_is_seen_to_be_there() -> None:
    assert {key: entry.form for key, entry in read_keys("[a]\n[b.c]\n").items()} == {
        "a": Form.EMPTY,
        "b.c": Form.EMPTY,
    }


def test_a_set_stands_wherever_a_value_may() -> None:
    text = 'a.b = { "x" }\nc = { d = { "y" }, e = {\n"z" } }\n'
    assert values(text) == {"a.b.x": "", "c.d.y": "", "c.e.z": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('a = "{ \\"x\\" }"', {"a": '{ "x" }'}),
        ("a = '{ \"x\" } # [no'", {"a": '{ "x" } # [no'}),
        ('a = """\n{ "x" }\n"quoted" \\\n  on"""', {"a": '{ "x" }\n"quoted" on'}),
        ("a = '''it's''\n}'''", {"a": "it's''\n}"}),
        ('a = """two quotes: """""', {"a": 'two quotes: ""'}),
        ('# { "x", \na = 1 # }', {"a": "1"}),
        (
            "a = true\nb = 1_000\nc = 1.50\nd = -7",
            {"a": "true", "b": "1000", "c": "1.50", "d": "-7"},
        ),
        ("a = 1979-05-27 07:32:00", {"a": "1979-05-27T07:32:00"}),
        ("a = inf\nb = 0xff", {"a": "inf", "b": "255"}),
        ('"a.b" . c = 1', {"a.b.c": "1"}),
        ("'a b'.c = 1", {"a b.c": "1"}),
        ("[ a . 'b' ] # why\nc=1", {"a.b.c": "1"}),
        ("[a.b]\nc = 1\n[a]\nd = 2", {"a.b.c": "1", "a.d": "2"}),
        ("\ufeffa = 1", {"a": "1"}),
        ("", {}),
        ("\n\n# nothing\n", {}),
    ],
)
def test_everything_else_is_toml(text: str, expected: dict[str, str]) -> None:
    assert values(text) == expected


def test_every_key_knows_its_line() -> None:
    text = """\
a = 1

[b]  # the second
c = { d = 1, e = 2 }
"f.g" = '''
long
'''
h = {
  # a set
  "i", "j",

  'k'
}
l = [ "m",
 "n" ]
[o]
[p.q]
r.s = 1
"""
    assert lines(text) == {
        "a": 1, "b.c.d": 4, "b.c.e": 4, "b.f.g": 5, "b.h.i": 10, "b.h.j": 10, "b.h.k": 12,
        "b.l.m": 14, "b.l.n": 15, "o": 16, "p.q.r.s": 18,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ('a = { "192.168.0.20, "10.0.0.0/8" }', 1, "a quote"),
        ('a = { "192.168.0.20", "10.0.0.0/8 }\nb = 1', 1, "quote is missing"),
        ('a = { 192.168.0.20", "10.0.0.0/8" }', 1, "quote is missing"),
        ('a = {\n"x",\n10.0.0.0/8" }', 3, "quote is missing"),
        ("a = {\n'x',\n'y }\n", 3, "quote is missing"),
        ('a = "100/1d\n', 1, "quote is missing"),
        ('a = 100/1d"\n', 1, "quote is missing"),
        ('\n"a = 1\n', 2, "quote is missing"),
        ('a = """x\n\n', 1, "quote is missing"),
        ("a = { 192.168.0.20 }", 1, "needs quotes"),
        ("\na = 100/1d", 2, "needs quotes"),
        ("a = \u201c100/1d\u201d", 1, "straight quotes"),
        ('a = {\n "x",\n "y"\n', 1, 'no "}"'),
        ('a = [\n "x",\n', 1, 'no "]"'),
        ('a = { "x" "y" }', 1, '","'),
        ('a = { "x",, "y" }', 1, "value is missing"),
        ('a = { "x", "y" = "z" }', 1, '","'),
        ("a = { b = 1,\n c = 2 }", 1, "one line"),
        ("a = { b = 1\n", 1, '"}"'),
        ("a = { b = 1 c = 2 }", 1, "needs quotes"),
        ('a = { b = "1" c = 2 }', 1, '","'),
        ('a = { "x", [1] }', 1, "plain values"),
        ("a = 1 b = 2", 1, "needs quotes"),
        ('a = "1" b = 2', 1, "follow"),
        ("a =\n", 1, "value is missing"),
        ("a", 1, '"="'),
        ("a.", 1, "key is missing"),
        ("[a", 1, '"]"'),
        ("[]", 1, "key is missing"),
        ("[[a]]", 1, "double brackets"),
        ("\u00fc = 1", 1, "needs quotes"),
        ("a = 1\r", 1, "quotes"),
        ('a = "\\q"', 1, "no TOML"),
        ('\na = "\x00"', 2, "no TOML"),
        ("a = 0xfffffffffffffffff", 1, "64 bits"),
        ("a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p.q = 1", 1, "16 parts"),
    ],
)
def test_a_fault_says_where_and_what(text: str, line: int, said: str) -> None:
    message = fault(text)
    assert message.startswith(f"mail.toml:{line}: ")
    assert said in message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a = 1\na = 1", "mail.toml:2: a: is set twice, first in line 1"),
        ("[a]\nb = 1\n\n[a]\nc = 1", "mail.toml:4: a: this table stands in line 1 already"),
        ('[a]\nb = { "x" }\n[a.b]\n"y" = ""', "mail.toml:3: a.b: a.b has a value in line 2"),
        ("a = 1\na.b = 2", "mail.toml:2: a.b: a has a value in line 1"),
        ("[a.b]\nc = 1\n[a]\nb = 1", "mail.toml:4: a.b: is a table already, from line 1 on"),
        ('"a.b" = 1\n[a]\nb = 2', "mail.toml:3: a.b: is set twice, first in line 1"),
        ('a = { "b" = 1, b = 2 }', "mail.toml:1: a.b: is set twice"),
    ],
)
def test_a_key_set_twice_is_a_fault_that_names_both_lines(text: str, expected: str) -> None:
    assert fault(text).startswith(expected)


def test_all_keys_set_twice_are_told_at_once() -> None:
    assert fault("a = 1\nb = 1\na = 2\nb = 2\n").splitlines() == [
        "mail.toml:3: a: is set twice, first in line 1",
        "mail.toml:4: b: is set twice, first in line 2",
    ]


def test_a_fault_never_shows_a_value() -> None:
    for text in ("secret = hunter2", 'secret = "hunter2', 'secret = "1" hunter2', "[hunter2=1"):
        assert "hunter2" not in fault(text)


def test_the_value_of_an_entry_is_not_in_its_repr() -> None:
    assert "hunter2" not in repr(read_keys('secret = "hunter2"'))


@pytest.mark.parametrize(
    "junk",
    [
        "[" * 200_000,
        "{" * 200_000,
        "a = " + "[" * 200_000,
        "a = " + "{a=" * 200_000,
        "a = { " + " " * 200_000,
        "a = {" + "#\n" * 200_000,
        'a = """' + '" ' * 200_000,
        'a = "' + "\\" * 200_001,
        "a = " + "9" * 200_000,
        "a." * 200_000,
    ],
    ids=lambda junk: str(junk[:7]),
)
def test_junk_of_any_size_is_a_fault(junk: str) -> None:
    assert len(fault(junk)) < 1_000


@given(st.text() | st.text(alphabet="ab.=\"'{}[],#\n\r\t \\1-:u\u00fc", max_size=60))
def test_whatever_the_text_nothing_but_settings_errors_come_out(text: str) -> None:
    with contextlib.suppress(SettingsError):
        read_keys(text)


WRITINGS: dict[str, Callable[[list[str], str], str]] = {
    "set": lambda names, quote: f"n = {{{', '.join(quote + name + quote for name in names)}}}",
    "lines": lambda names, quote: (
        "n = {\n" + "".join(f"  {quote}{name}{quote}, # }}\n" for name in names) + "}"
    ),
    "array": lambda names, quote: f"n = [{','.join(quote + name + quote for name in names)}]",
    "table": lambda names, quote: (
        "[n]\n" + "".join(f'{quote}{name}{quote} = ""\n' for name in names)
    ),
    "inline table": lambda names, quote: (
        f"n = {{{','.join(quote + name + quote + '=' + quote * 2 for name in names)}}}"
    ),
    "dotted": lambda names, quote: "".join(f'n.{quote}{name}{quote} = ""\n' for name in names),
}


@given(
    st.lists(st.ip_addresses().map(str) | st.just("10.0.0.0/8"), min_size=1, unique=True),
    st.sampled_from("\"'"),
)
def test_networks_give_the_same_keys_however_they_are_written(names: list[str], quote: str) -> None:
    for write in WRITINGS.values():
        assert values(write(names, quote)) == {f"n.{name}": "" for name in names}


KEYS = st.text("ab-_1", min_size=1, max_size=3)
TEXTS = st.text(alphabet="xy \"'\\{}[]#,=\n\t\u00fc").map(
    lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
)


@given(st.lists(st.tuples(KEYS, TEXTS | st.sampled_from(["1", "true", "-2.5", "'#}'"]))))
def test_what_toml_accepts_is_accepted_with_the_same_values(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{key} = {value}  # }}\n" for key, value in pairs)
    try:
        expected = tomllib.loads(text, parse_float=str)
    except tomllib.TOMLDecodeError:
        assert fault(text)
    else:
        told = {True: "true"}
        assert values(text) == {
            key: told[value] if value is True else str(value) for key, value in expected.items()
        }


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["a", '"10.0.0.0/8"', "'b c'", '"\\u0061x"', "d.e", "f"]),
            st.sampled_from(['"x"', "'y'", '""', '"\\t"', "7", "[]", '"""z"""', "true"]),
            st.sampled_from(["", "  # why", "\t"]),
        ),
        max_size=8,
        unique_by=lambda pair: pair[0],
    )
)
def test_text_that_is_read_at_once_stands_where_it_stood(pairs: list[tuple[str, str, str]]) -> None:
    text = "[t]\n" + "".join(f"{key} = {value}{more}\n" for key, value, more in pairs)
    expected = list(tomllib.loads(text)["t"])
    found = [key.split(".")[1] for key in values(text) if key != "t"]
    assert found == [name.partition(".")[0] for name in expected]
    assert sorted(lines(text).values()) == list(lines(text).values())


@given(
    st.lists(
        st.tuples(
            st.sampled_from(['"x"', "'y'", '""', '"10.0.0.0/8"', '"\\u0062"', "7"]),
            st.sampled_from([",", " , ", ",\n", ", # why\n\n", "\n,\n"]),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_members_that_are_read_at_once_stay_in_their_order_and_lines(
    members: list[tuple[str, str]],
) -> None:
    inside = "".join(f"{member}{behind}" for member, behind in members)
    expected = list(dict.fromkeys(map(str, tomllib.loads(f"l = [{inside}]")["l"])))
    for text in (f"l = [{inside}]\n", f"l = {{{inside}}}\n", f"l = [\n{inside}]\n"):
        assert list(values(text)) == [f"l.{member}" for member in expected]
    before, told = "l = [", dict[str, int]()
    for member, behind in members:
        told.setdefault(str(tomllib.loads(f"v = {member}")["v"]), before.count("\n") + 1)
        before += member + behind
    assert lines(f"l = [{inside}]\n") == {f"l.{member}": line for member, line in told.items()}


@pytest.mark.parametrize("junk", ["\x00", "\x7f", "\r", "\\q"])
def test_what_toml_refuses_in_text_is_refused_in_long_lists_too(junk: str) -> None:
    assert fault(f'[n]\n"a" = "b"\n"c" = "d{junk}"\n').startswith("mail.toml:3: ")
    assert fault(f'[n]\n"a" = "b" # {junk[0]}\n"c{junk}" = "d"\n').startswith("mail.toml:")
    assert fault(f'n = [\n"a", "b",\n"c{junk}",\n]\n').startswith("mail.toml:3: ")


def test_a_key_in_a_long_list_that_stands_twice_is_a_fault_of_its_line() -> None:
    assert fault('[n]\n"a" = "b"\n"c" = "d"\na = "e"\n') == (
        "mail.toml:4: n.a: is set twice, first in line 2"
    )
