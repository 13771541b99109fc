"""The routes that scripts written for Stalwart's server know, with its answers.

Deleting a key that is not there is a success, as it is there: such scripts repeat themselves.
"""

from __future__ import annotations

from aiohttp import web

from mailward.admin.control import Control
from mailward.admin.forms import json_pairs, query_fields
from mailward.admin.routes import stream
from mailward.admin.wishes import Refusal, RefusedError
from mailward.settings.build import check_key
from mailward.settings.errors import SettingsError


class Familiar:
    """One method for each route."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def listed(self, request: web.Request) -> web.StreamResponse:
        query_fields(request).end()
        keys = await self._control.keys.listed(request.match_info.get("key", ""))
        return await stream(request, "data", ([known.key, known.value] for known in keys))

    async def add(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        pairs = await json_pairs(request)
        _check(pairs)
        for key, value in pairs:
            await self._control.keys.add(key, value)
        return _nothing()

    async def delete(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        try:
            await self._control.keys.delete(request.match_info["key"])
        except RefusedError as error:
            if error.why is not Refusal.ABSENT:
                raise
        return _nothing()

    async def reload(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        await self._control.keys.reload()
        return _nothing()

    async def reload_certificates(self, request: web.Request) -> web.Response:
        query_fields(request).end()
        await self._control.keys.reload_certificates()
        return _nothing()


def _check(pairs: list[tuple[str, str]]) -> None:
    """See that every key is one, before the first is stored.

    Raises:
        RefusedError: one is not.
    """
    for key, value in pairs:
        try:
            check_key(key, value)
        except SettingsError as error:
            raise RefusedError(Refusal.WRONG, str(error)) from None


def _nothing() -> web.Response:
    return web.json_response({"data": []})
