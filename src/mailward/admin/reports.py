"""Reports from outside over HTTP: one or thousands, each judged by itself; and who is banned.

A list is taken as far as it is right: what is wrong with an item is told beside it, and harms no
other. So whoever collected failures for an hour loses none of them to a single bad line.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus

from aiohttp import web

from mailward.admin.control import Control
from mailward.admin.forms import Fields, MalformedError, json_fields, problem, query_fields
from mailward.admin.overview import row_of
from mailward.admin.views import Json, stored_view
from mailward.admin.wishes import Refusal, RefusedError
from mailward.guard.bites import in_bites
from mailward.guard.reported import report_digest
from mailward.guard.reports import Fate, Report, Taken, bans_on, counted_for, take_reports
from mailward.rules.addresses import AddressError, parse_address
from mailward.rules.model import Address, Attempt, Ban, Instant, Login, Outcome, Subject
from mailward.rules.policy import Policy
from mailward.rules.subjects import spelled

MAX_REPORTS = 10_000
MAX_ID_CHARACTERS = 200
_BITE = 50  # items read, or rows made, between two looks at the connections
_SERVICE = re.compile(r"[a-z0-9-]{1,32}", re.ASCII)
_TOO_OLD = "the report is older than the period of the limit"


@dataclass(frozen=True, slots=True)
class _Wrong:
    """An item that is no report."""

    why: str


@dataclass(frozen=True, slots=True)
class _Item:
    """One of a list: what it says, or what is wrong with it. *id_* is as it was given."""

    id_: str | None
    read: Report | _Wrong


class ReportRoutes:
    """One method for each route."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self._guard = control.guard
        self._one_by_one = asyncio.Lock()

    async def failures(self, request: web.Request) -> web.Response:
        return await self._report(request, Outcome.FAILED)

    async def successes(self, request: web.Request) -> web.Response:
        return await self._report(request, Outcome.SUCCEEDED)

    async def check(self, request: web.Request) -> web.Response:
        """Whether an address or a login is banned: asked for every login, so it only looks."""
        fields = query_fields(request)
        address, login = fields.text("address"), fields.optional_text("login")
        fields.end()
        policy = self._guard.policy
        attempt = Attempt(_address(address, policy), _login(login, policy), "")
        bans = bans_on(self._guard, attempt, self._control.clock())
        return web.json_response({"banned": bool(bans), "bans": self._rows(bans)})

    async def _report(self, request: web.Request, outcome: Outcome) -> web.Response:
        fields = await json_fields(request)
        values = fields.optional_list("reports")
        if values is None:
            return await self._take_one(read_report(fields, outcome, self._guard.policy))
        fields.end()
        if len(values) > MAX_REPORTS:
            return problem(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                f"{len(values)} reports are too many: send at most {MAX_REPORTS} at once",
            )
        # Lists that were taken side by side would each take a bite between two turns of the others.
        async with self._one_by_one:
            return await self._take_all(values, outcome)

    async def _take_one(self, report: Report) -> web.Response:
        taken = await take_reports(self._guard, [report], self._control.clock)
        now = self._control.clock()
        match taken.fates[0]:
            case Fate.TOO_OLD:
                raise RefusedError(Refusal.WRONG, _TOO_OLD)
            case Fate.REPEATED:
                counted: tuple[Subject, ...] = ()
            case Fate.ACCEPTED:
                counted = counted_for(self._guard, report, now)
        answer = {
            "result": taken.fates[0].value,
            "counted": [spelled(subject) for subject in counted],
            "banned": self._banned(report, now),
            "bans": self._rows(taken.bans),
        }
        return web.json_response(stored_view(answer, stored=self._control.is_stored))

    async def _take_all(self, values: Sequence[object], outcome: Outcome) -> web.Response:
        items: list[_Item] = []
        for start in range(0, len(values), _BITE):
            policy = self._guard.policy
            items += (_read_item(v, outcome, policy) for v in values[start : start + _BITE])
            await asyncio.sleep(0)
        reports = [item.read for item in items if isinstance(item.read, Report)]
        taken = await take_reports(self._guard, reports, self._control.clock)
        rows = await self._told(items, taken)
        results = Counter(row["result"] for row in rows)
        bans: list[Json] = []
        async for bite in in_bites(taken.bans, _BITE):
            bans += self._rows(bite)
        answer: dict[str, object] = {
            result: results[result] for result in ("accepted", "repeated", "refused")
        }
        said = json.dumps(stored_view(answer, stored=self._control.is_stored))
        text = f'{said[:-1]}, "bans": {await _json(bans)}, "reports": {await _json(rows)}}}'
        return web.Response(text=text, content_type="application/json")

    async def _told(self, items: Sequence[_Item], taken: Taken) -> list[Json]:
        """What is said of each item."""
        fates = iter(taken.fates)
        rows: list[Json] = []
        for place, item in enumerate(items):
            if place % _BITE == 0:
                await asyncio.sleep(0)
                now = self._control.clock()
            match item.read:
                case _Wrong(why):
                    row: Json = {"result": "refused", "why": why, "banned": []}
                case Report() as report:
                    row = {**_fate_view(next(fates)), "banned": self._banned(report, now)}
            rows.append({"id": item.id_, **row})
        return rows

    def _banned(self, report: Report, now: Instant) -> list[str]:
        bans = bans_on(self._guard, report.attempt, now)
        return [spelled(ban.subject) for ban in bans]

    def _rows(self, bans: Sequence[Ban]) -> list[Json]:
        return [row_of(self._guard, ban) for ban in bans]


async def _json(rows: Sequence[Json]) -> str:
    """A list of any length."""
    return (
        f"[{', '.join([json.dumps(row) async for bite in in_bites(rows, _BITE) for row in bite])}]"
    )


def read_report(fields: Fields, outcome: Outcome, policy: Policy) -> Report:
    """One report.

    Raises:
        MalformedError: it has not the form of one.
        RefusedError: it has, but a value is wrong.
    """
    address, login = fields.text("address"), fields.optional_text("login")
    service, at = fields.text("service"), fields.instant("time")
    id_ = fields.optional_text("id")
    fields.end()
    if _SERVICE.fullmatch(service) is None:
        raise RefusedError(
            Refusal.WRONG, f'"{service[:40]}" is no service: use 1 to 32 of a-z, 0-9 and "-"'
        )
    if id_ is not None and not 1 <= len(id_) <= MAX_ID_CHARACTERS:
        raise RefusedError(Refusal.WRONG, f"an id has 1 to {MAX_ID_CHARACTERS} characters")
    attempt = Attempt(
        _address(address, policy),
        _login(login, policy),
        service,
        listener="report",
        is_reported=True,
    )
    digest = None if id_ is None else report_digest(outcome, service, id_)
    return Report(attempt, outcome, at, digest)


def _read_item(value: object, outcome: Outcome, policy: Policy) -> _Item:
    if not isinstance(value, dict):
        return _Item(None, _Wrong("a report must be a JSON object"))
    id_ = value.get("id")
    known = id_ if isinstance(id_, str) and len(id_) <= MAX_ID_CHARACTERS else None
    try:
        return _Item(known, read_report(Fields(value), outcome, policy))
    except (MalformedError, RefusedError) as error:
        return _Item(known, _Wrong(str(error)))


def _fate_view(fate: Fate) -> Json:
    match fate:
        case Fate.ACCEPTED | Fate.REPEATED:
            return {"result": fate.value, "why": None}
        case Fate.TOO_OLD:
            return {"result": "refused", "why": _TOO_OLD}


def _address(text: str, policy: Policy) -> Address:
    try:
        return policy.prefixes.fold(parse_address(text))
    except AddressError as error:
        raise RefusedError(Refusal.WRONG, str(error)) from None


def _login(text: str | None, policy: Policy) -> Login | None:
    login = None if text is None else policy.naming.login(text.encode())
    if text is not None and login is None:
        raise RefusedError(Refusal.WRONG, "the login is empty: leave it out where there is none")
    return login
