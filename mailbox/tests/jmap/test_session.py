"""The session resource, and HTTP as far as JMAP is about it."""

from __future__ import annotations

import pytest
from mailbox_testing.hall import ALICE, BOB, CORE, MAIL, SUBMISSION, Jmap, say

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_session_names_the_account_and_the_limits_that_hold(jmap: Jmap) -> None:
    session = (await jmap.raw("GET", "/jmap/session")).json
    account = jmap.ids[ALICE]
    assert session["username"] == ALICE
    assert set(session["capabilities"]) == {CORE, MAIL, SUBMISSION}
    assert session["primaryAccounts"] == {CORE: account, MAIL: account, SUBMISSION: account}
    assert list(session["accounts"]) == [account]
    assert 16 <= session["capabilities"][CORE]["maxCallsInRequest"] <= 64
    for name, variables in (
        ("apiUrl", ()),
        ("uploadUrl", ("{accountId}",)),
        ("downloadUrl", ("{accountId}", "{blobId}", "{name}", "{type}")),
        ("eventSourceUrl", ("{types}", "{closeafter}", "{ping}")),
    ):
        assert session[name].startswith("http://mail.test/jmap/")
        assert all(variable in session[name] for variable in variables)


async def test_the_urls_have_the_scheme_and_the_host_that_the_client_used(jmap: Jmap) -> None:
    session = (await jmap.raw("GET", "/.well-known/jmap", tls=True)).json
    assert session["apiUrl"] == "https://mail.test/jmap/api/"
    assert session["state"] == (await jmap.raw("GET", "/jmap/session")).json["state"]


async def test_each_account_sees_itself_alone(jmap: Jmap) -> None:
    session = (await jmap.raw("GET", "/jmap/session", name=BOB)).json
    assert list(session["accounts"]) == [jmap.ids[BOB]]
    assert jmap.ids[ALICE] not in str(session)


async def test_without_credentials_nothing_is_told(jmap: Jmap) -> None:
    for target in ("/jmap/session", "/jmap/api/", "/nowhere"):
        answer = await jmap.raw("GET", target, name=None)
        assert answer.status == 401
        assert "www-authenticate" in answer.fields


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("HEAD", "/jmap/session", 200),
        ("OPTIONS", "/jmap/api/", 204),
        ("GET", "/jmap/api/", 405),
        ("PUT", "/jmap/session", 405),
        ("GET", "/jmap/upload/x/", 405),
        ("POST", "/jmap/download/x/y/z", 405),
        ("GET", "/jmap", 404),
        ("GET", "/jmap/download/x", 404),
    ],
)
async def test_what_is_not_there_is_said_so(
    jmap: Jmap, method: str, target: str, status: int
) -> None:
    assert (await jmap.raw(method, target)).status == status


async def test_a_connection_serves_one_request_after_the_other(jmap: Jmap) -> None:
    wire = await jmap.connect()
    for method in ("GET", "HEAD", "GET"):
        assert (await say(wire, method, "/jmap/session")).status == 200
    wire.abort()
