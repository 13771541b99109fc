"""What the daemon said, read with care: whoever answers may be somebody else."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TypeVar

from mailward.client.news import RefusedError, Told

_T = TypeVar("_T")


class _StrangeError(ValueError):
    """It is not what mailward answers."""


def understood(at: str, status: int, said: bytes, read: Callable[[object], _T]) -> _T:
    """What *read* makes of a good answer.

    Raises:
        RefusedError: it is a refusal, or nothing that mailward would say.
    """
    try:
        answer = json.loads(said)
        if status == HTTPStatus.OK:
            return read(answer)
        detail = answer["detail"]
    except (ValueError, LookupError, TypeError, RecursionError):
        detail = "it does not answer as mailward does"
    raise RefusedError(f"{at}: {detail} ({status})")


def is_banned(answer: object) -> bool:
    """The answer to a question."""
    match answer:
        case {"banned": bool() as banned}:
            return banned
        case _:
            raise _StrangeError  # not "no": that would let everybody in


def told(answer: object, id_: str) -> Told:
    """The answer to one report, or its row in that to many."""
    match answer:
        case {
            "result": "accepted" | "repeated" | "refused" as result,
            "banned": list(banned),
            **others,
        }:
            why = others.get("why")
            return Told(result, tuple(map(str, banned)), id_, None if why is None else str(why))
        case _:
            raise _StrangeError


def all_told(answer: object, ids: Sequence[str]) -> Sequence[Told]:
    """The answer to reports with *ids*."""
    match answer:
        case {"reports": list(rows)} if len(rows) == len(ids):
            return [told(row, id_) for row, id_ in zip(rows, ids, strict=True)]
        case _:
            raise _StrangeError
