"""Drivers of what reads messages and the requests of JMAP."""

from __future__ import annotations

import json
from contextlib import suppress

from mailward_mailbox.jmap.errors import MethodError, RequestError
from mailward_mailbox.jmap.message.bodies import (
    PART_PROPERTIES,
    preview,
    shown_part,
    sort_out,
    text_of,
)
from mailward_mailbox.jmap.message.headers import FORMS
from mailward_mailbox.jmap.message.mime import (
    MAX_DEPTH,
    read_header,
    read_message,
    without_fields,
)
from mailward_mailbox.jmap.requests import Answer, Budget, read_request, resolve


def email(octets: bytes) -> None:
    """A message: all of it can be shown, as JSON that others can read."""
    message = read_message(octets)
    shown = shown_part(message, "blob", [*PART_PROPERTIES, "headers", "subParts"])
    bodies = sort_out(message)
    leaves = [part for part in message.walk() if part.parts is None]
    assert len({part.path for part in leaves}) == len(leaves)
    assert all(message.find(part.path) is part for part in leaves)
    assert all(part.path.count(".") < MAX_DEPTH for part in leaves)
    texts = [text_of(part)[0] for part in leaves]
    forms = [read(raw) for _, raw in message.fields for read in FORMS.values()]
    _is_unicode([shown, texts, forms, preview(bodies)])
    assert read_header(octets) == message.fields
    assert without_fields(octets, ()) == octets
    assert not [name for name, _ in read_header(without_fields(octets, {"bcc"})) if name == "bcc"]


def jmap_request(octets: bytes) -> None:
    """A request: refused as a whole, or each of its calls is answered."""
    with suppress(RequestError):
        request = read_request(octets)
        answers: list[Answer] = []
        budget = Budget()
        for call in request.calls:
            try:
                answers.append((call.name, resolve(call, answers, budget), call.id))
            except MethodError as error:
                answers.append(("error", error.answer(), call.id))
        _is_unicode(answers)


def _is_unicode(value: object) -> None:
    json.dumps(value, ensure_ascii=False).encode()
