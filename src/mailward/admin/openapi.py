"""What the API takes and answers, in the words of OpenAPI 3.1, made from the table of routes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from mailward.admin.shapes import PROBLEM, SUBJECT, TEXT, Schema
from mailward.admin.views import Json

JSON = "application/json"
_PLACE = re.compile(r"\{(\w+)(?::[^}]*)?\}")

# From afar every request may end so, whatever it is.
_ANYWHERE = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.SERVICE_UNAVAILABLE,
)


@dataclass(frozen=True, slots=True)
class Operation:
    """One line of the table. *path* is aiohttp's: ``{name:regular expression}``."""

    method: str
    path: str
    does: str
    answer: Schema
    query: Mapping[str, Schema] = field(default_factory=dict)
    needs: Sequence[str] = ()
    """The fields of the query that have to be there."""
    body: Schema | None = None
    errors: Sequence[HTTPStatus] = ()
    content: str = JSON

    @property
    def template(self) -> str:
        """The path as OpenAPI has it.

        >>> Operation("GET", "/api/why/{subject:.+}", "", {}).template
        '/api/why/{subject}'
        """
        return _PLACE.sub(r"{\1}", self.path)


def document(operations: Iterable[Operation], version: str) -> Json:
    """The description of the whole API."""
    paths: dict[str, dict[str, Json]] = {}
    for operation in operations:
        paths.setdefault(operation.template, {})[operation.method.lower()] = _described(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mailward",
            "version": version,
            "summary": "The management API: what is blocked, why, and how to undo it.",
        },
        "paths": paths,
        "components": {
            "securitySchemes": {"operator": {"type": "http", "scheme": "basic"}},
            "schemas": {"Problem": PROBLEM},
        },
        "security": [{"operator": []}],
    }


def _described(operation: Operation) -> Json:
    described: dict[str, object] = {
        "summary": operation.does,
        "parameters": list(_parameters(operation)),
        "responses": {
            "200": {
                "description": "done",
                "content": {operation.content: {"schema": operation.answer}},
            },
            **{
                str(status.value): {
                    "description": status.phrase,
                    "content": {
                        "application/problem+json": {
                            "schema": {"$ref": "#/components/schemas/Problem"}
                        }
                    },
                }
                for status in sorted({*_ANYWHERE, *_more_errors(operation), *operation.errors})
            },
        },
    }
    if operation.body is not None:
        described["requestBody"] = {
            "required": True,
            "content": {JSON: {"schema": operation.body}},
        }
    return described


def _parameters(operation: Operation) -> Iterable[Json]:
    for name in _PLACE.findall(operation.path):
        schema = SUBJECT if name == "subject" else {**TEXT, "minLength": 1}
        yield {"name": name, "in": "path", "required": True, "schema": schema}
    for name, schema in operation.query.items():
        needed = name in operation.needs
        yield {"name": name, "in": "query", "required": needed, "schema": schema}


def _more_errors(operation: Operation) -> Sequence[HTTPStatus]:
    return () if operation.body is None else (HTTPStatus.REQUEST_TIMEOUT,)
