"""What is answered over HTTP."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from mailward.wire.http.answers import Answer
from mailward.wire.http.head import write_response
from mailward_mailbox.jmap.errors import RequestError

_NO_STORE = ("Cache-Control", b"no-cache, no-store, must-revalidate")


@dataclass(frozen=True, slots=True)
class Reply:
    """One response."""

    status: HTTPStatus
    body: bytes = field(default=b"", repr=False)
    fields: Sequence[tuple[str, bytes]] = ()

    @classmethod
    def of_answer(cls, answer: Answer) -> Reply:
        """What the door says itself, said for it to see."""
        return cls(answer.status, fields=answer.fields)

    def octets(self, *, has_body: bool, closes: bool) -> bytes:
        """As it is sent; *has_body* is not so for HEAD."""
        fields = [*self.fields]
        if self.status != HTTPStatus.NO_CONTENT:
            fields.append(("Content-Length", b"%d" % len(self.body)))
        if closes:
            fields.append(("Connection", b"close"))
        head = write_response(self.status, self.status.phrase.encode(), fields)
        return head + self.body if has_body else head


def of_json(value: object, status: HTTPStatus = HTTPStatus.OK) -> Reply:
    body = json.dumps(value, separators=(",", ":")).encode()
    return Reply(status, body, (("Content-Type", b"application/json; charset=utf-8"), _NO_STORE))


def of_problem(error: RequestError) -> Reply:
    body = json.dumps(error.problem).encode()
    return Reply(error.status, body, (("Content-Type", b"application/problem+json"), _NO_STORE))
