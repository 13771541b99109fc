"""What can be wrong with a request, with one of its calls, and with one object of a call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from http import HTTPStatus


class RequestError(Exception):
    """Nothing of the request was done (RFC 8620 section 3.6.1). *kind* is a problem type."""

    def __init__(
        self,
        kind: str,
        why: str,
        status: HTTPStatus = HTTPStatus.BAD_REQUEST,
        more: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(why)
        self.status = status
        self.problem: dict[str, object] = {
            "type": kind,
            "status": int(status),
            "detail": why,
            **(more or {}),
        }


def not_json(why: str) -> RequestError:
    return RequestError("urn:ietf:params:jmap:error:notJSON", why)


def not_request(why: str) -> RequestError:
    return RequestError("urn:ietf:params:jmap:error:notRequest", why)


def unknown_capability(name: str) -> RequestError:
    return RequestError(
        "urn:ietf:params:jmap:error:unknownCapability", f"nothing here is called {name[:200]}"
    )


def over_limit(limit: str, why: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> RequestError:
    """*limit* is its name among the core capabilities."""
    return RequestError("urn:ietf:params:jmap:error:limit", why, status, {"limit": limit})


class MethodError(Exception):
    """One call was not done (RFC 8620 section 3.6.2)."""

    def __init__(self, kind: str, why: str = "") -> None:
        super().__init__(why or kind)
        self.kind = kind
        self.why = why

    def answer(self) -> dict[str, object]:
        return {"type": self.kind, **({"description": self.why} if self.why else {})}


def invalid(why: str) -> MethodError:
    return MethodError("invalidArguments", why)


class SetError(Exception):
    """One object was not created, changed or destroyed (RFC 8620 section 5.3)."""

    def __init__(self, kind: str, why: str = "", more: Mapping[str, object] | None = None) -> None:
        super().__init__(why or kind)
        self.kind = kind
        self.why = why
        self.more = more or {}

    def answer(self) -> dict[str, object]:
        said = {"description": self.why} if self.why else {}
        return {"type": self.kind, **said, **self.more}


def unfit(properties: Iterable[str], why: str = "") -> SetError:
    return SetError("invalidProperties", why, {"properties": list(properties)})
