"""Requests as a whole: what is refused, and what refers to what."""

from __future__ import annotations

import json
from typing import Any

import pytest
from mailbox_testing.hall import ALICE, BOB, CORE, MAIL, Jmap

pytestmark = pytest.mark.asyncio(loop_scope="session")

_ERROR = "urn:ietf:params:jmap:error:"


def request(*calls: Any, using: Any = (CORE, MAIL), **more: Any) -> dict[str, Any]:
    return {"using": list(using), "methodCalls": list(calls), **more}


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", "notJSON"),
        (b"{", "notJSON"),
        (b"\xff", "notJSON"),
        (b'{"using": [], "methodCalls": [], "x": NaN}', "notJSON"),
        (b'{"using": [], "methodCalls": [], "x": 1e999}', "notJSON"),
        (b'{"using": [], "using": [], "methodCalls": []}', "notJSON"),
        (b'{"using": [], "methodCalls": [["Core/echo", {"x": "\\ud800"}, "0"]]}', "notJSON"),
        (b'{"using": [], "methodCalls": [], "x": 1' + b"0" * 5_000 + b"}", "notJSON"),
        (b"[" * 100_000, "notJSON"),
        (b"[" * 100 + b"]" * 100, "notJSON"),
        (b'{"a":' * 60_000 + b"1" + b"}" * 60_000, "notJSON"),
        (b"[]", "notRequest"),
        (b"null", "notRequest"),
        (b"{}", "notRequest"),
        (json.dumps({"using": "x", "methodCalls": []}).encode(), "notRequest"),
        (json.dumps({"using": [1], "methodCalls": []}).encode(), "notRequest"),
        (json.dumps({"using": [], "methodCalls": {}}).encode(), "notRequest"),
        (json.dumps(request(["Core/echo", {}])).encode(), "notRequest"),
        (json.dumps(request(["Core/echo", [], "0"])).encode(), "notRequest"),
        (json.dumps(request([1, {}, "0"])).encode(), "notRequest"),
        (json.dumps(request(["Core/echo", {}, 0])).encode(), "notRequest"),
        (json.dumps(request("Core/echo")).encode(), "notRequest"),
        (json.dumps(request(createdIds=[])).encode(), "notRequest"),
        (json.dumps(request(createdIds={"a": 1})).encode(), "notRequest"),
        (json.dumps(request(using=[CORE, "urn:x"])).encode(), "unknownCapability"),
        (json.dumps(request(*[["Core/echo", {}, "0"]] * 1_000)).encode(), "limit"),
        (b" " * 10_000_001, "limit"),
        (b"[" + b"0," * 600_000 + b"0]", "limit"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_request_that_is_none_is_a_problem(jmap: Jmap, body: bytes, kind: str) -> None:
    answer = await jmap.post(body)
    assert answer.status == 400
    assert answer.fields["content-type"] == "application/problem+json"
    assert answer.json["type"] == _ERROR + kind
    assert answer.json["status"] == 400
    assert (kind == "limit") == ("limit" in answer.json)


async def test_a_request_in_another_type_is_no_json(jmap: Jmap) -> None:
    body = json.dumps(request()).encode()
    answer = await jmap.raw("POST", "/jmap/api/", body, "Content-Type: text/plain")
    assert answer.json["type"] == _ERROR + "notJSON"


async def test_an_echo_comes_back_as_it_was(jmap: Jmap) -> None:
    given = {"hello": [1, 2.5, None, {"ä": "€"}], "accountId": jmap.ids[ALICE]}
    assert await jmap.calls(("Core/echo", given, "x")) == [["Core/echo", given, "x"]]


@pytest.mark.parametrize(
    ("method", "arguments", "kind"),
    [
        ("Email/nonsense", {}, "unknownMethod"),
        ("Email/get", {"accountId": "somebody"}, "accountNotFound"),
        ("Email/get", {"accountId": 7}, "invalidArguments"),
        ("Email/get", {"accountId": None}, "invalidArguments"),
    ],
)
async def test_a_call_that_cannot_be_made_is_an_error_of_its_own(
    jmap: Jmap, method: str, arguments: dict[str, Any], kind: str
) -> None:
    answers = await jmap.calls((method, arguments), ("Core/echo", {}))
    assert answers[0][0] == "error"
    assert answers[0][1]["type"] == kind
    assert answers[1][0] == "Core/echo"


async def test_the_account_of_another_is_not_found(jmap: Jmap) -> None:
    assert await jmap.error("Mailbox/get", accountId=jmap.ids[BOB]) == "accountNotFound"


async def test_a_method_needs_its_capability(jmap: Jmap) -> None:
    call = ["Mailbox/get", {"accountId": jmap.ids[ALICE]}, "0"]
    answer = await jmap.post(request(call, ["Core/echo", {}, "1"], using=[CORE]))
    kinds = [one[1].get("type") for one in answer.json["methodResponses"]]
    assert kinds == ["unknownMethod", None]


async def test_created_ids_come_back_only_where_they_were_given(jmap: Jmap) -> None:
    assert "createdIds" not in (await jmap.post(request())).json
    answer = (await jmap.post(request(createdIds={"a": "M1"}))).json
    assert answer["createdIds"] == {"a": "M1"}


def reference(of: str, name: str, path: str) -> dict[str, str]:
    return {"resultOf": of, "name": name, "path": path}


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/a", [1, 2]),
        ("/a/1", 2),
        ("/b/*/c", [3, 4, 5, 6]),
        ("/b/*/d~1e", [True, False]),
        ("/n~0m", "tilde"),
        ("/x", None),
        ("/a/2", None),
        ("/a/-1", None),
        ("/a/01", None),
        ("/a/٣", None),
        ("/a/0/0", None),
        ("a", None),
        ("/b/*/nothing", None),
        ("/" + "/*" * 5_000, None),
    ],
)
async def test_a_reference_follows_its_path(jmap: Jmap, path: str, found: object) -> None:
    given = {
        "a": [1, 2],
        "b": [{"c": [3, 4], "d/e": True}, {"c": [5, 6], "d/e": False}],
        "n~m": "tilde",
    }
    _, (name, answer, _) = await jmap.calls(
        ("Core/echo", given, "first"), ("Core/echo", {"#it": reference("first", "Core/echo", path)})
    )
    if found is None:
        assert (name, answer["type"]) == ("error", "invalidResultReference")
    else:
        assert answer["it"] == found


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        ({"#ids": reference("0", "Core/echo", "/ids")}, "invalidResultReference"),  # itself
        ({"#ids": reference("1", "Core/echo", "/ids")}, "invalidResultReference"),  # a later one
        ({"#ids": reference("nobody", "Core/echo", "/ids")}, "invalidResultReference"),
        ({"#ids": reference("0", "Core/echo", "/ids"), "ids": []}, "invalidArguments"),
        ({"#ids": "0"}, "invalidArguments"),
        ({"#ids": {"resultOf": "0", "name": "Core/echo"}}, "invalidArguments"),
        ({"#ids": {**reference("0", "Core/echo", ""), "more": 1}}, "invalidArguments"),
    ],
)
async def test_references_in_a_circle_lead_nowhere(
    jmap: Jmap, arguments: dict[str, Any], kind: str
) -> None:
    later = {"#ids": reference("0", "Core/echo", "/ids")}
    answers = await jmap.calls(("Core/echo", arguments, "0"), ("Core/echo", later, "1"))
    assert [answers[0][1]["type"], answers[1][1]["type"]] == [kind, "invalidResultReference"]


async def test_references_that_double_each_other_stay_bounded(jmap: Jmap) -> None:
    calls: list[Any] = [("Core/echo", {"x": "y" * 1_000}, "0")]
    for number in range(1, 32):
        twice = {f"#{one}": reference(str(number - 1), "Core/echo", "") for one in "abcdefgh"}
        calls.append(("Core/echo", twice, str(number)))
    answers = await jmap.calls(*calls)
    assert answers[-1][1]["type"] == "invalidResultReference"


async def test_a_reference_wants_the_answer_of_the_method_that_it_names(jmap: Jmap) -> None:
    of_another = {"#x": reference("0", "Email/get", "")}
    answers = await jmap.calls(("Core/echo", {}, "0"), ("Core/echo", of_another, "1"))
    assert answers[1][1]["type"] == "invalidResultReference"
