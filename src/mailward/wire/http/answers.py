"""What the door itself answers: problems (RFC 9457), and where the session resource is."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

from mailward.wire.door import Obstacle
from mailward.wire.http.head import write_response

CONTINUE = write_response(HTTPStatus.CONTINUE, b"Continue", ())
CHALLENGES = (  # RFC 7617 section 2.1, RFC 6750 section 3
    ("WWW-Authenticate", b'Basic realm="mail", charset="UTF-8"'),
    ("WWW-Authenticate", b'Bearer realm="mail"'),
)
LATER_SECONDS = 300  # when to ask again where a login is banned
SOON_SECONDS = 10  # and where the backend is down


@dataclass(frozen=True, slots=True)
class Answer:
    """One response of the door's own."""

    status: HTTPStatus
    detail: str
    fields: tuple[tuple[str, bytes], ...] = field(default=())

    def octets(self, *, has_body: bool, closes: bool) -> bytes:
        """As it is sent; *has_body* is not so for HEAD."""
        body = json.dumps(
            {"type": "about:blank", "status": self.status, "title": self.status.phrase}
            | {"detail": self.detail}
        ).encode()
        fields: Iterable[tuple[str, bytes]] = (
            *self.fields,
            ("Content-Type", b"application/problem+json"),
            ("Content-Length", b"%d" % len(body)),
            ("Cache-Control", b"no-store"),
            *((("Connection", b"close"),) if closes else ()),
        )
        head = write_response(self.status, self.status.phrase.encode(), fields)
        return head + body if has_body else head


UNNAMED = Answer(HTTPStatus.UNAUTHORIZED, "You have to authenticate first.", CHALLENGES)
WRONG = Answer(HTTPStatus.UNAUTHORIZED, "Wrong login or password", CHALLENGES)
CROWDED = Answer(
    HTTPStatus.TOO_MANY_REQUESTS,
    "Too many connections from your address are waiting: try later.",
    (("Retry-After", b"%d" % SOON_SECONDS),),
)
DOWN = Answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    Obstacle.UNAVAILABLE.value.decode(),
    (("Retry-After", b"%d" % SOON_SECONDS),),
)
BANNED = Answer(HTTPStatus.FORBIDDEN, "Too many attempts: this address may not come in.")
NOT_HERE = Answer(HTTPStatus.NOT_FOUND, "There is nothing here.")
FOREIGN = Answer(HTTPStatus.FORBIDDEN, "A page of another site may not log in for its visitor.")
UNEXPECTED = Answer(HTTPStatus.EXPECTATION_FAILED, "Only 100-continue can be expected here.")


def later(why: Obstacle) -> Answer:
    """The login is not possible now."""
    return Answer(
        HTTPStatus.TOO_MANY_REQUESTS,
        why.value.decode(),
        (("Retry-After", b"%d" % LATER_SECONDS),),
    )


def leads_to(path: str) -> Answer:
    """The session resource is at *path* (RFC 8620 section 2.2)."""
    return Answer(
        HTTPStatus.TEMPORARY_REDIRECT, "It is there.", (("Location", path.encode("ascii")),)
    )
