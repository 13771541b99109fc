"""Drivers of what reads messages and the requests of JMAP."""

from __future__ import annotations

import json
from contextlib import suppress

from mailward_mailbox.jmap.errors import MethodError, RequestError
from mailward_mailbox.jmap.message.bodies import (
    PART_PROPERTIES,
    leaves,
    preview,
    shown_part,
    sort_out,
)
from mailward_mailbox.jmap.message.headers import FORMS
from mailward_mailbox.jmap.requests import Answer, Budget, read_request, resolve
from mailward_mailbox.message.addresses import envelope_addresses
from mailward_mailbox.message.header import without_fields
from mailward_mailbox.message.parse import MAX_DEPTH, MAX_PARTS, parse, parse_header
from mailward_mailbox.message.part import Part
from mailward_mailbox.message.text import text_of
from mailward_mailbox.message.transfer import UnknownEncodingError


def email(octets: bytes) -> None:
    """A message: all of it can be shown, as JSON that others can read."""
    message = parse(octets)
    shown = shown_part(message, "blob", [*PART_PROPERTIES, "headers", "subParts"])
    bodies = sort_out(message)
    parts = leaves(message)
    assert len({part.path for part in parts}) == len(parts)
    assert all(part.path.count(".") < MAX_DEPTH for part in parts)
    texts = [text_of(part)[0] for part in parts]
    fields = message.header.fields
    forms = [read(one.value) for one in fields for read in FORMS.values()]
    _is_unicode([shown, texts, forms, preview(bodies)])
    assert parse_header(octets).fields == fields
    assert without_fields(octets, ()) == octets
    without = parse_header(without_fields(octets, {"bcc"})).fields
    assert not [one for one in without if one.name.lower() == "bcc"]


def message_parts(octets: bytes) -> None:
    """A message as IMAP sees it: parts are nested, positions in the octets."""
    left, count = [parse(octets)], 0
    assert (left[0].header_start, left[0].body_end) == (0, len(octets))
    while left:
        part = left.pop()
        count += 1
        below = [*part.parts, *([part.message] if part.message else [])]
        assert part.header_start <= part.header_end <= part.body_start <= part.body_end
        at = part.body_start
        for one in below:
            assert at <= one.header_start <= one.body_end <= part.body_end
            at = one.body_end
        assert (part.kind == "multipart") == bool(part.parts)
        _describe(part)
        left += below
    assert count <= MAX_PARTS


def _describe(part: Part) -> None:
    assert part.size >= part.lines
    assert all(name.isascii() for name, _ in (*part.params, *(part.disposition or ("", ()))[1]))
    with suppress(UnknownEncodingError):
        part.decoded()
    for one in part.header.fields:
        assert one.value in part.octets[one.start : one.end]
        opened = [
            address.mailbox is not None
            for address in envelope_addresses(one.value)
            if address.host is None
        ]
        assert opened[::2].count(True) == opened[1::2].count(False) == len(opened) / 2


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
