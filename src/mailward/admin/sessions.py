"""The sessions that are logged in, for operators: listed, and ended by hand or with a ban."""

from __future__ import annotations

from collections.abc import Sequence

from aiohttp import web

from mailward.admin.asking import subjects_of
from mailward.admin.control import Control
from mailward.admin.forms import json_fields, query_fields
from mailward.admin.names import named
from mailward.admin.paging import MAX_PAGE
from mailward.admin.routes import stream
from mailward.admin.views import Json, counted, listed, moment
from mailward.guard.sessions import LoggedIn
from mailward.rules.addresses import address_name
from mailward.rules.model import Subject, SubjectKind
from mailward.rules.subjects import spelled

USUAL_PAGE = 1_000
_MAX_NUMBER = 10**15
_AGAIN = "mail programs log in again by themselves unless the password is changed or a ban falls"


class SessionRoutes:
    """One method for each route."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def listed(self, request: web.Request) -> web.StreamResponse:
        fields = query_fields(request)
        whose = fields.optional_text("subject")
        limit = fields.number("limit", USUAL_PAGE, MAX_PAGE)
        after = fields.number("after", 0, _MAX_NUMBER)
        fields.end()
        page = await self._control.sessions(whose, after, limit)
        rows = (_row(session) for session in page.sessions)
        return await stream(request, "sessions", rows, {"total": page.total, "next": page.next})

    async def close(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        texts, yes = subjects_of(fields), fields.flag("yes")
        fields.end()
        subjects, count = await self._control.close_sessions(texts, yes=yes)
        return web.json_response({"closed": count, "message": _closed_text(subjects, count)})


def _row(session: LoggedIn) -> Json:
    received, sent = session.connection.octets()
    return {
        "session": session.session,
        "address": address_name(session.address),
        "subject": (
            None if session.login is None else spelled(Subject(SubjectKind.LOGIN, session.login))
        ),
        "login": session.login,
        "mailbox": session.mailbox,
        "listener": session.listener,
        "service": session.service,
        "since": moment(session.since),
        "received": received,
        "sent": sent,
    }


def _closed_text(subjects: Sequence[Subject], count: int) -> str:
    names = listed(map(named, subjects))
    if not count:
        return f"No session of {names} is open: it has ended already, or there was none."
    are = "is" if count == 1 else "are"
    return f"{counted(count, 'session')} of {names} {are} closed; {_AGAIN}."
