"""The management API: HTTP and JSON around :class:`mailward.admin.control.Control`.

Whoever may open its socket may do everything; from afar everybody has to pass the gate. No answer
holds a password.
"""

from __future__ import annotations

from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from mailward.admin import shapes
from mailward.admin.accounts import AccountRoutes
from mailward.admin.afar import guarded, harden, only_json
from mailward.admin.control import Control
from mailward.admin.events import Streams
from mailward.admin.familiar import Familiar
from mailward.admin.forms import MAX_BODY_HERE_OCTETS, MAX_BODY_OCTETS, as_problems
from mailward.admin.gate import Gate
from mailward.admin.openapi import Operation, document
from mailward.admin.paging import MAX_PAGE, Order
from mailward.admin.reports import ReportRoutes
from mailward.admin.routes import MAX_TOP, Routes
from mailward.admin.sessions import SessionRoutes
from mailward.admin.shapes import REASON, TEXT
from mailward.admin.views import Json
from mailward.guard.journal import MAX_KEPT, Journal

Table = list[tuple[Operation, Handler]]

_WRONG = HTTPStatus.UNPROCESSABLE_ENTITY
_ABSENT = HTTPStatus.NOT_FOUND
_CONFLICT = HTTPStatus.CONFLICT


def make_app(control: Control, journal: Journal, gate: Gate | None = None) -> web.Application:
    """The application. Without a *gate* it is for a socket that only operators can open."""
    streams = Streams(journal)
    middlewares: list[Middleware] = [as_problems]
    if gate is not None:
        middlewares += [guarded(gate, control.clock), only_json]
    most = MAX_BODY_HERE_OCTETS if gate is None else MAX_BODY_OCTETS
    app = web.Application(middlewares=middlewares, client_max_size=most)
    app.on_shutdown.append(streams.end)
    app.on_response_prepare.append(harden)
    table = [
        *_looking(Routes(control), streams),
        *_changing(Routes(control)),
        *_sessions(SessionRoutes(control)),
        *_reporting(ReportRoutes(control)),
        *_settings(Routes(control)),
        *_accounts(AccountRoutes(control)),
        *_familiar(Familiar(control)),
    ]
    described = document([operation for operation, _ in table], control.version)
    table.append(_description(described))
    app.add_routes(
        web.route(operation.method, operation.path, handler) for operation, handler in table
    )
    return app


def _looking(routes: Routes, streams: Streams) -> Table:
    count = {"type": "integer", "minimum": 1, "maximum": MAX_TOP}
    wanted = {
        "address": TEXT,
        "login": TEXT,
        "reason": REASON,
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
        "sort": {"enum": [order.value for order in Order]},
        "after": TEXT,
    }
    bans = shapes.answer(bans=shapes.listing(shapes.BAN))
    return [
        (Operation("GET", "/healthz", "whether all is well", shapes.HEALTH), routes.health),
        (
            Operation("GET", "/metrics", "for Prometheus", TEXT, content="text/plain"),
            routes.metrics,
        ),
        (Operation("GET", "/api/status", "everything at a glance", shapes.STATUS), routes.status),
        (
            Operation("GET", "/api/top", "who has most failures", shapes.TOP, {"count": count}),
            routes.top,
        ),
        (
            Operation("GET", "/api/bans", "the bans in force", bans, wanted, errors=[_WRONG]),
            routes.bans,
        ),
        (
            Operation(
                "GET",
                "/api/why/{subject:(?s:.+)}",
                "all there is to say of a subject",
                shapes.WHY,
                errors=[_WRONG],
            ),
            routes.why,
        ),
        (
            Operation(
                "GET",
                "/api/events",
                "what happened and happens",
                shapes.EVENT,
                {"last": {**count, "maximum": MAX_KEPT}, "follow": shapes.TEXT_FLAG},
                content="text/event-stream",
            ),
            streams.follow,
        ),
    ]


def _changing(routes: Routes) -> Table:
    count, stored = shapes.COUNT, shapes.FLAG
    more = {"count": count, "kinds": shapes.mapping(count), "stored": stored}
    told = {"closed": count, "ended": count, "unseen": count, **more}
    bans = shapes.answer(bans=shapes.listing(shapes.IMPOSED), **told)
    lifts = shapes.answer(lifted=shapes.listing(shapes.LIFTED), **more)
    reason = {"reason": REASON}
    return [
        (
            Operation(
                "POST",
                "/api/bans",
                "ban by hand, all or none",
                bans,
                body=shapes.WISH,
                errors=[_WRONG, _CONFLICT],
            ),
            routes.ban,
        ),
        (
            Operation(
                "DELETE",
                "/api/bans",
                "lift all bans of one reason",
                shapes.DONE,
                reason,
                ["reason"],
            ),
            routes.lift_all,
        ),
        (
            Operation(
                "DELETE",
                "/api/bans/{subject:(?s:.+)}",
                "lift the ban on a subject",
                shapes.LIFTED,
                {"inside": shapes.TEXT_FLAG},
                errors=[_WRONG],
            ),
            routes.lift_one,
        ),
        (
            Operation(
                "POST", "/api/lifts", "lift several", lifts, body=shapes.LIFTS, errors=[_WRONG]
            ),
            routes.lift,
        ),
    ]


def _sessions(routes: SessionRoutes) -> Table:
    path = "/api/sessions"
    whose = {
        "subject": TEXT,
        "limit": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE},
        "after": {"type": "integer", "minimum": 1},
    }
    wrong = [_WRONG]
    return [
        (
            Operation("GET", path, "who is logged in", shapes.SESSIONS, whose, errors=wrong),
            routes.listed,
        ),
        (
            Operation(
                "POST",
                f"{path}/close",
                "end the sessions of subjects, all or none",
                shapes.CLOSED,
                body=shapes.CLOSINGS,
                errors=[_WRONG, _CONFLICT],
            ),
            routes.close,
        ),
    ]


def _reporting(routes: ReportRoutes) -> Table:
    takes, answers = shapes.REPORT, shapes.REPORTED
    return [
        (
            Operation(
                "POST",
                "/api/failures",
                "count failures that another program saw",
                answers,
                body=takes,
                errors=[_WRONG],
            ),
            routes.failures,
        ),
        (
            Operation(
                "POST",
                "/api/successes",
                "the same for successes",
                answers,
                body=takes,
                errors=[_WRONG],
            ),
            routes.successes,
        ),
        (
            Operation(
                "GET",
                "/api/check",
                "whether an address or a login is banned",
                shapes.CHECKED,
                {"address": TEXT, "login": TEXT},
                ["address"],
                errors=[_WRONG],
            ),
            routes.check,
        ),
    ]


def _settings(routes: Routes) -> Table:
    path = "/api/settings"
    known = shapes.answer(settings=shapes.listing(shapes.SETTING))
    new, gone = [_WRONG, _CONFLICT], [_WRONG, _ABSENT, _CONFLICT]
    key = {"key": shapes.KEY}
    return [
        (Operation("GET", path, "the keys in force", known, {"prefix": TEXT}), routes.settings),
        (
            Operation("POST", path, "add a key", shapes.DONE, body=shapes.NEW_SETTING, errors=new),
            routes.add_setting,
        ),
        (
            Operation("DELETE", path, "delete a key", shapes.DONE, key, ["key"], errors=gone),
            routes.delete_setting,
        ),
        (
            Operation("POST", "/api/reload", "read all anew", shapes.DONE, errors=[_WRONG]),
            routes.reload,
        ),
        (
            Operation(
                "POST",
                "/api/reload-certificates",
                "read the certificates anew",
                shapes.MESSAGE,
                errors=[_WRONG],
            ),
            routes.reload_certificates,
        ),
    ]


def _accounts(routes: AccountRoutes) -> Table:
    path, done = "/api/accounts", shapes.ACCOUNT_DONE
    one = "/api/accounts/{name:(?s:.+)}"
    known = shapes.answer(accounts=shapes.listing(shapes.ACCOUNT))
    wrong = [_WRONG, _ABSENT, _CONFLICT]
    return [
        (
            Operation("GET", path, "who has an account here", known, errors=[_CONFLICT]),
            routes.everybody,
        ),
        (
            Operation("POST", path, "add one", done, body=shapes.NEW_ACCOUNT, errors=wrong),
            routes.add,
        ),
        (
            Operation("GET", one, "one of them", shapes.ACCOUNT, errors=[_ABSENT, _CONFLICT]),
            routes.one,
        ),
        (
            Operation(
                "POST",
                one,
                "give one another password, or shut or open it",
                done,
                body=shapes.ACCOUNT_CHANGE,
                errors=wrong,
            ),
            routes.change,
        ),
        (Operation("DELETE", one, "remove one", done, errors=wrong), routes.remove),
        (
            Operation(
                "POST",
                "/api/account-lists",
                "take in lines of a passwd-file, all or none",
                shapes.answer(count=shapes.COUNT),
                body=shapes.ACCOUNT_LINES,
                errors=wrong,
            ),
            routes.take_in,
        ),
    ]


def _familiar(routes: Familiar) -> Table:
    one, nothing = "/admin/config/{key:(?s:.+)}", shapes.NOTHING
    new, gone = [_WRONG, _CONFLICT], [_WRONG, _CONFLICT]
    return [
        (Operation("GET", "/admin/config", "all keys in force", shapes.PAIRS), routes.listed),
        (Operation("GET", one, "those that begin so", shapes.PAIRS), routes.listed),
        (
            Operation(
                "POST",
                "/admin/config",
                "add",
                nothing,
                body=shapes.listing(shapes.PAIR),
                errors=new,
            ),
            routes.add,
        ),
        (Operation("DELETE", one, "delete a key", nothing, errors=gone), routes.delete),
        (
            Operation("GET", "/admin/reload/config", "read all anew", nothing, errors=[_WRONG]),
            routes.reload,
        ),
        (
            Operation(
                "GET",
                "/admin/reload/certificates",
                "read the certificates anew",
                nothing,
                errors=[_WRONG],
            ),
            routes.reload_certificates,
        ),
    ]


def _description(described: Json) -> tuple[Operation, Handler]:
    async def describe(_: web.Request) -> web.Response:
        return web.json_response(described)

    return Operation("GET", "/api/openapi.json", "this description", {"type": "object"}), describe
