"""The accounts that are kept here: what operators see and change of them.

Passwords come in with requests and are in no answer.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import web

from mailward.admin.control import MAX_COMPLAINTS, Control
from mailward.admin.forms import MalformedError, json_fields, query_fields
from mailward.admin.views import Json
from mailward.admin.wishes import Complaint, Refusal, RefusedError
from mailward.backends.accounts import MailboxAccounts
from mailward.backends.port import (
    AccountError,
    AccountView,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)
from mailward.wire.secret import Secret

MAX_LINES = 1_000
"""Of a list; a plain password among them takes 20 ms."""


class AccountRoutes:
    """One method for each route."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def everybody(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        with _told():
            views = await self._keeper().everybody()
        return web.json_response({"accounts": [_row(one) for one in views]})

    async def one(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        with _told():
            return web.json_response(_row(await self._keeper().one(request.match_info["name"])))

    async def add(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        name, password = fields.text("name"), Secret(_octets(fields.text("password")))
        fields.end()
        with _told():
            return _done("is added", await self._keeper().add(name, password))

    async def change(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        name, password = request.match_info["name"], fields.optional_text("password")
        is_enabled = fields.optional_flag("enabled")
        fields.end()
        with _told():
            if password is not None and is_enabled is None:
                view = await self._keeper().set_password(name, Secret(_octets(password)))
                return _done("has another password", view)
            if is_enabled is not None and password is None:
                view = await self._keeper().set_enabled(name, is_enabled=is_enabled)
                return _done("may log in" if is_enabled else "may not log in any more", view)
        raise MalformedError('say what to change: either "password" or "enabled"')

    async def remove(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        with _told():
            view = await self._keeper().remove(request.match_info["name"])
        return _done("is removed; its mail is left where it is, and nobody gets it", view)

    async def take_in(self, request: web.Request) -> web.Response:
        fields = await json_fields(request)
        lines, check = fields.texts("lines"), fields.flag("check")
        fields.end()
        if lines is None or len(lines) > MAX_LINES:
            raise MalformedError(f'"lines" must be a list of 1 to {MAX_LINES} strings')
        with _told():
            count = await self._keeper().take_in(lines, check=check)
        return web.json_response({"count": count})

    def _keeper(self) -> MailboxAccounts:
        keeper = self._control.accounts()
        if keeper is None:
            raise RefusedError(
                Refusal.CONFLICT,
                'no accounts are kept here: give a listener backend = "embedded" for that',
            )
        return keeper


@contextmanager
def _told() -> Iterator[None]:
    """Tell what went wrong with an account as every other refusal."""
    try:
        yield
    except NoSuchAccountError as error:
        raise RefusedError(Refusal.ABSENT, str(error)) from None
    except UnfitAccountError as error:
        raise RefusedError(Refusal.WRONG, str(error)) from None
    except MisreadError as error:
        complaints = [Complaint(one.why, one.line - 1) for one in error.misread[:MAX_COMPLAINTS]]
        raise RefusedError(Refusal.WRONG, str(error), complaints) from None
    except AccountError as error:
        raise RefusedError(Refusal.CONFLICT, str(error)) from None


def _done(what: str, view: AccountView) -> web.Response:
    return web.json_response({**_row(view), "message": f"The account {view.name} {what}."})


def _row(view: AccountView) -> Json:
    return {
        "name": view.name,
        "enabled": view.is_enabled,
        "scheme": view.scheme,
        "scram": view.has_scram,
    }


def _octets(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise MalformedError("a password is text") from None
