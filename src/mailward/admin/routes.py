"""What each route of the management API does: from HTTP to the control, and back to JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from itertools import islice
from types import MappingProxyType

from aiohttp import web

from mailward.admin.asking import asked_for, subjects_of
from mailward.admin.control import Control
from mailward.admin.exposition import CONTENT_TYPE
from mailward.admin.forms import (
    Fields,
    MalformedError,
    json_fields,
    query_fields,
)
from mailward.admin.metrics import exposition
from mailward.admin.overview import row_of, status_view, top_view
from mailward.admin.paging import (
    MAX_PAGE,
    Order,
    Place,
    page,
    place_from_text,
    place_text,
)
from mailward.admin.sentences import imposed_text, lifted_text
from mailward.admin.views import (
    Json,
    ban_row,
    kinds_view,
    lifted_view,
    stored_view,
    why_view,
)
from mailward.admin.wishes import Done, Wish
from mailward.guard.bites import keeping_all
from mailward.guard.operations import MANY, Lifted
from mailward.rules.model import Ban, Reason

MAX_TOP = 100
DEFAULT_TOP = 10
_BITE = 50  # rows made between two looks at the connections: a millisecond or two
_NOTHING: Json = MappingProxyType({})


class Routes:
    """One method for each route."""

    def __init__(self, control: Control) -> None:
        self._control = control

    # -- looking ---------------------------------------------------------------------------------

    async def health(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        # A store that is away is no reason to restart: the guard goes on in memory.
        return web.json_response({"status": "ok" if self._control.is_stored else "degraded"})

    async def status(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        return web.json_response(status_view(self._control))

    async def metrics(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        text = exposition(self._control)
        return web.Response(body=text.encode(), headers={"Content-Type": CONTENT_TYPE})

    async def top(self, request: web.Request) -> web.Response:
        fields = query_fields(request)
        count = fields.number("count", DEFAULT_TOP, MAX_TOP)
        fields.end()
        return web.json_response(await top_view(self._control, count))

    async def why(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        return web.json_response(why_view(await self._control.why(request.match_info["subject"])))

    async def bans(self, request: web.Request) -> web.StreamResponse:
        fields = query_fields(request)
        address, login = fields.optional_text("address"), fields.optional_text("login")
        reason, order = _reason(fields), _order(fields)
        after = _place(fields)
        limit = fields.number("limit", 0, MAX_PAGE) or None
        fields.end()
        if limit is None and (order or after):
            raise MalformedError('"sort" and "after" go with "limit"')
        bans: Sequence[Ban] = await self._control.bans(address, login, reason)
        more = _NOTHING
        if limit is not None:
            found = await page(bans, order or Order.SUBJECT, after, limit)
            bans, following = found.bans, found.next
            more = {
                "total": found.total,
                "next": None if following is None else place_text(following),
            }
        rows = (row_of(self._control.guard, ban) for ban in bans)
        return await stream(request, "bans", rows, more)

    async def settings(self, request: web.Request) -> web.StreamResponse:
        fields = query_fields(request)
        prefix = fields.optional_text("prefix") or ""
        fields.end()
        keys = await self._control.keys.listed(prefix)
        return await stream(
            request,
            "settings",
            ({"key": known.key, "value": known.value, "origin": known.origin} for known in keys),
        )

    # -- changing --------------------------------------------------------------------------------

    async def ban(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        wish = Wish(
            asked=await asked_for(fields),
            period=fields.optional_text("for"),
            note=fields.optional_text("note") or "",
            yes=fields.flag("yes"),
            check=fields.flag("check"),
            close=fields.flag("close"),
        )
        brief = fields.flag("brief")
        fields.end()
        with _keeping(len(wish.asked)):
            banned = await self._control.ban(wish)
        imposed = banned.imposed
        shown = [one for one in imposed if not brief or one.exempt or not one.is_new]
        rows = [{**ban_row(one.ban, fixed=False), "message": imposed_text(one)} for one in shown]
        kinds = kinds_view(one.ban.kind for one in imposed)
        counts = {
            "count": len(imposed),
            "kinds": kinds,
            "closed": banned.closed,
            "ended": banned.ended,
            "unseen": sum(one.is_unseen for one in imposed),
        }
        return self._answer({"bans": rows, **counts})

    async def lift(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        subjects, check = subjects_of(fields), fields.flag("check")
        inside, brief = fields.flag("inside"), fields.flag("brief")
        fields.end()
        with _keeping(len(subjects)):
            lifted = await self._control.lift(subjects, inside=inside, check=check)
        shown = [one for one in lifted if not brief or _is_told(one)]
        rows = [self._lifted(one) for one in shown]
        kinds = kinds_view(one.subject.kind for one in lifted)
        return self._answer({"lifted": rows, "count": len(lifted), "kinds": kinds})

    async def lift_one(self, request: web.Request) -> web.Response:
        fields = query_fields(request)
        inside = fields.text_flag("inside")
        fields.end()
        subject = request.match_info["subject"]
        return self._answer(self._lifted(await self._control.lift_one(subject, inside=inside)))

    def _lifted(self, lifted: Lifted) -> Json:
        return lifted_view(lifted, lifted_text(lifted), self._control.guard.policy)

    async def lift_all(self, request: web.Request) -> web.Response:
        fields = query_fields(request)
        reason = _reason(fields)
        fields.end()
        if reason is None:
            raise MalformedError('"reason" must say which bans: authentication or manual')
        return _done(await self._control.lift_all(reason))

    async def add_setting(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        key, value = fields.text("key"), fields.optional_text("value") or ""
        yes = fields.flag("yes")
        fields.end()
        return _done(await self._control.keys.add(key, value, yes=yes))

    async def delete_setting(self, request: web.Request) -> web.Response:
        in_query = "key" in request.query
        fields = query_fields(request) if in_query else await json_fields(request)
        key = fields.text("key")
        fields.end()
        return _done(await self._control.keys.delete(key))

    async def reload(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        return _done(await self._control.keys.reload())

    async def reload_certificates(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        return _done(await self._control.keys.reload_certificates())

    def _answer(self, fields: Json) -> web.Response:
        return web.json_response(stored_view(fields, stored=self._control.is_stored))


def _done(answer: Done) -> web.Response:
    return web.json_response({"message": answer.message, "stored": answer.stored})


def _is_told(lifted: Lifted) -> bool:
    """Whether it did not go as simply as was wished."""
    return lifted.still is not None or lifted.inside.bans > 0 or not lifted.bans


def _reason(fields: Fields) -> Reason | None:
    text = fields.optional_text("reason")
    if text is None:
        return None
    try:
        return Reason(text)
    except ValueError:
        raise MalformedError('"reason" must be authentication or manual') from None


def _order(fields: Fields) -> Order | None:
    text = fields.optional_text("sort")
    if text is None:
        return None
    try:
        return Order(text)
    except ValueError:
        known = ", ".join(order.value for order in Order)
        raise MalformedError(f'"sort" must be one of {known}') from None


def _place(fields: Fields) -> Place | None:
    text = fields.optional_text("after")
    if text is None:
        return None
    try:
        return place_from_text(text)
    except ValueError:
        raise MalformedError('"after" must be what "next" said') from None


def _keeping(count: int) -> AbstractContextManager[None]:
    """How a list of so many subjects is taken in."""
    return keeping_all() if count > MANY else nullcontext()


async def stream(
    request: web.Request, name: str, rows: Iterable[object], more: Json = _NOTHING
) -> web.StreamResponse:
    """A list of any length as the field *name*, without holding up connections for it.

    The fields of *more*, if there are any, come behind it.
    """
    response = web.StreamResponse(headers={"Content-Type": "application/json; charset=utf-8"})
    await response.prepare(request)
    await response.write(f'{{"{name}": ['.encode())
    left = iter(rows)
    between = ""
    while bite := ", ".join(map(json.dumps, islice(left, _BITE))):
        await response.write(f"{between}{bite}".encode())
        await asyncio.sleep(0)
        between = ", "
    behind = "".join(f", {json.dumps(name)}: {json.dumps(value)}" for name, value in more.items())
    await response.write(f"]{behind}}}".encode())
    await response.write_eof()
    return response
