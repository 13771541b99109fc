"""The form of requests and refusals: JSON of exactly the known fields, ``problem+json``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from datetime import datetime
from http import HTTPStatus
from typing import NoReturn

from aiohttp import web
from aiohttp.typedefs import Handler

from mailward.admin.wishes import Refusal, RefusedError
from mailward.rules.model import Instant

MAX_BODY_OCTETS = 1_000_000
MAX_BODY_HERE_OCTETS = 16_000_000  # over the socket: a whole list is one request, all or none
MAX_REPORTS_OCTETS = 8_000_000  # 10,000 reports, each with a name and an id as long as they may be
_LARGER = {"/api/failures": MAX_REPORTS_OCTETS, "/api/successes": MAX_REPORTS_OCTETS}
_LARGE_OCTETS = 50_000  # what is larger is read beside the event loop
BODY_SECONDS = 30.0  # for the whole body: who sends slower holds a handler for nothing

MAX_SECONDS = 1e11  # some 3,000 years from 1970: what a date can tell

_STATUSES = {
    Refusal.WRONG: HTTPStatus.UNPROCESSABLE_ENTITY,
    Refusal.ABSENT: HTTPStatus.NOT_FOUND,
    Refusal.CONFLICT: HTTPStatus.CONFLICT,
}
_DETAILS = {
    HTTPStatus.NOT_FOUND: "there is no such resource",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "the body is too large; send it in parts",
}


# One thread for all of them: each further one would take turns with the event loop, too.
_READER = ThreadPoolExecutor(1, thread_name_prefix="json")


class MalformedError(Exception):
    """A request that is not of the form it must have; the message says what is expected."""


@web.middleware
async def as_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer every refusal, our own and the server's, in the one form."""
    try:
        return await handler(request)
    except MalformedError as error:
        return problem(HTTPStatus.BAD_REQUEST, str(error))
    except RefusedError as error:
        faults = [asdict(complaint) for complaint in error.complaints]
        return problem(_STATUSES[error.why], str(error), faults)
    except web.HTTPMethodNotAllowed as error:
        allowed = ", ".join(sorted(error.allowed_methods))
        response = problem(HTTPStatus.METHOD_NOT_ALLOWED, f"use {allowed}")
        response.headers["Allow"] = allowed
        return response
    except web.HTTPError as error:
        status = HTTPStatus(error.status)
        return problem(status, _DETAILS.get(status, error.text or status.phrase))


def problem(
    status: HTTPStatus, detail: str, faults: Sequence[Mapping[str, object]] = ()
) -> web.Response:
    """A refusal as RFC 9457 has it."""
    body: dict[str, object] = {
        "type": "about:blank",
        "title": status.phrase,
        "status": status.value,
        "detail": detail,
    }
    if faults:
        body["faults"] = list(faults)
    return web.Response(
        status=status.value, text=json.dumps(body), content_type="application/problem+json"
    )


class Fields:
    """The fields of one request. Each is taken out once; what is left is unknown."""

    def __init__(self, fields: Mapping[str, object]) -> None:
        self._fields = dict(fields)

    def text(self, name: str) -> str:
        """A text that must be there."""
        value = self.optional_text(name)
        if value is None:
            raise MalformedError(f'"{name}" is missing')
        return value

    def optional_text(self, name: str) -> str | None:
        value = self._fields.pop(name, None)
        if value is None or isinstance(value, str):
            return value
        raise MalformedError(f'"{name}" must be a string')

    def texts(self, name: str) -> Sequence[str] | None:
        """A list of texts, if it is there."""
        value = self._fields.pop(name, None)
        if value is None:
            return None
        if not isinstance(value, list) or not value:
            raise MalformedError(f'"{name}" must be a list of strings')
        texts = [text for text in value if isinstance(text, str)]
        if len(texts) != len(value):
            raise MalformedError(f'"{name}" must be a list of strings')
        return texts

    def optional_list(self, name: str) -> Sequence[object] | None:
        """A list of anything, if it is there."""
        value = self._fields.pop(name, None)
        if value is None or isinstance(value, list):
            return value
        raise MalformedError(f'"{name}" must be a list')

    def flag(self, name: str) -> bool:
        """``true`` or ``false``; false if it is not there."""
        value = self._fields.pop(name, False)
        if isinstance(value, bool):
            return value
        raise MalformedError(f'"{name}" must be true or false')

    def optional_flag(self, name: str) -> bool | None:
        value = self._fields.pop(name, None)
        if value is None or isinstance(value, bool):
            return value
        raise MalformedError(f'"{name}" must be true or false')

    def text_flag(self, name: str, *, default: bool = False) -> bool:
        """``true`` or ``false`` as a query string has them."""
        match self.optional_text(name):
            case None:
                return default
            case "true":
                return True
            case "false":
                return False
            case _:
                raise MalformedError(f'"{name}" must be true or false')

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1 to *most*, as a query string has it."""
        text = self.optional_text(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and len(text) <= len(str(most))):
            raise MalformedError(f'"{name}" must be a number from 1 to {most}')
        if not 1 <= int(text) <= most:
            raise MalformedError(f'"{name}" must be a number from 1 to {most}')
        return int(text)

    def instant(self, name: str) -> Instant | None:
        """A moment: seconds since the Unix epoch, or a text of RFC 3339."""
        value = self._fields.pop(name, None)
        match value:
            case None:
                return None
            case str():
                return _instant_from_text(name, value)
            case bool():
                raise _no_moment(name)
            # False for infinity, for what is no number, and for integers that no float can hold.
            case int() | float() if abs(value) < MAX_SECONDS:
                return Instant(float(value))
            case _:
                raise _no_moment(name)

    def end(self) -> None:
        """See that nothing is left."""
        if self._fields:
            known = ", ".join(sorted(f'"{name[:40]}"' for name in self._fields)[:5])
            raise MalformedError(f"unknown field {known}")


async def json_fields(request: web.Request) -> Fields:
    """The body: one JSON object.

    Raises:
        MalformedError: it is none.
    """
    value = await _json(request, "one JSON object")
    if not isinstance(value, dict):
        raise MalformedError("the body must be one JSON object")
    return Fields(value)


async def json_pairs(request: web.Request) -> list[tuple[str, str]]:
    """The body: a list of pairs of texts.

    Raises:
        MalformedError: it is none.
    """
    form = 'a list of pairs like [["KEY", "VALUE"]]'
    pairs = []
    match await _json(request, form):
        case list() as items:
            for item in items:
                match item:
                    case [str() as key, str() as value]:
                        pairs.append((key, value))
                    case _:
                        raise MalformedError(f"the body must be {form}")
        case _:
            raise MalformedError(f"the body must be {form}")
    return pairs


async def _json(request: web.Request, form: str) -> object:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            octets = await request.clone(client_max_size=max_octets(request)).read()
    except TimeoutError:
        raise web.HTTPRequestTimeout(text="the body did not arrive in time") from None
    try:
        if len(octets) > _LARGE_OCTETS:
            return await asyncio.get_running_loop().run_in_executor(_READER, _parsed, octets)
        return _parsed(octets)
    except (ValueError, RecursionError) as error:
        why = str(error) if isinstance(error, _UnusableError) else "it cannot be read"
        raise MalformedError(f"the body must be {form}: {why}") from None


def max_octets(request: web.Request) -> int:
    """The largest body that *request* may have."""
    return max(request.client_max_size, _LARGER.get(request.path, 0))


def _parsed(octets: bytes) -> object:
    value: object = json.loads(
        octets.decode("utf-8"), object_pairs_hook=_distinct, parse_constant=_refuse_constant
    )
    if b"\\u" in octets:  # half a surrogate pair is no text, and can only be spelled so
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    return value


def query_fields(request: web.Request) -> Fields:
    """The query string.

    Raises:
        MalformedError: a field stands in it twice.
    """
    if len(request.query) != len(set(request.query)):
        raise MalformedError("a field stands twice in the query")
    return Fields(dict(request.query))


class _UnusableError(ValueError):
    """JSON that can be read, but not trusted."""


def _distinct(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _UnusableError("a field stands in it twice")
    return fields


def _refuse_constant(name: str) -> NoReturn:
    raise _UnusableError(f"{name} is no JSON")


def _instant_from_text(name: str, text: str) -> Instant:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _no_moment(name) from None
    if moment.tzinfo is None:
        raise MalformedError(f'"{name}" needs a zone; end it with Z')
    return Instant(moment.timestamp())


def _no_moment(name: str) -> MalformedError:
    return MalformedError(
        f'"{name}" must be seconds since 1970 or a moment like "2026-01-31T12:00:00Z"'
    )
