"""The shapes of requests and answers, as JSON Schema (2020-12, which OpenAPI 3.1 speaks)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mailward.admin.forms import MAX_SECONDS
from mailward.admin.keys import MAX_KEY_CHARACTERS
from mailward.admin.overview import OUTCOMES
from mailward.admin.wishes import MAX_NOTE_CHARACTERS
from mailward.guard.journal import Event
from mailward.rules.logins import MAX_NAME_OCTETS
from mailward.rules.model import Reason, SubjectKind
from mailward.rules.subjects import MAX_SUBJECT_CHARACTERS

Schema = Mapping[str, object]

TEXT: Schema = {"type": "string"}
FLAG: Schema = {"type": "boolean"}
TEXT_FLAG: Schema = {"enum": ["true", "false"]}
COUNT: Schema = {"type": "integer", "minimum": 0}
MOMENT: Schema = {"type": "string", "format": "date-time"}
OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
KIND: Schema = {"enum": [kind.value for kind in SubjectKind]}
NAME: Schema = {
    "type": "string",
    "maxLength": MAX_NAME_OCTETS,
    "description": "as it is counted; one that is unfit to show is SHA256: and 64 digits",
}
SUBJECT: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_SUBJECT_CHARACTERS,
    "description": "an address, a network, a range A-B or a login; address:, login: or operator: "
    "in front says which, and encoded: before that means percent-encoded",
}
OPTIONAL_SUBJECT: Schema = {**SUBJECT, "type": ["string", "null"]}
OPTIONAL_NAME: Schema = {**NAME, "type": ["string", "null"]}
KEY: Schema = {
    "type": "string",
    "minLength": 1,
    "maxLength": MAX_KEY_CHARACTERS,
    "description": "like server.security.blocked-networks.192.0.2.0/24",
}
NOTE: Schema = {
    "type": "string",
    "maxLength": MAX_NOTE_CHARACTERS,
    "description": "one line of printable characters",
}
OPTIONAL_NOTE: Schema = {**NOTE, "type": ["string", "null"]}
PERIOD: Schema = {
    "type": ["string", "null"],
    "description": "an integer and one of s, m, h, d and w, like 4w; or never",
}
ADDRESS: Schema = {"type": "string", "description": "an IPv4 or IPv6 address"}
_SAID: Schema = {"type": "string", "minLength": 1}
_SERVICES: Schema = {"type": "array", "items": {"type": "string", "maxLength": 32}}
_COUNTERPARTS: Schema = {"type": "array", "items": NAME}
REASON: Schema = {"enum": [reason.value for reason in Reason]}


def maybe(schema: Schema) -> Schema:
    """*schema*, or ``null``."""
    return {"anyOf": [schema, {"type": "null"}]}


def listing(of: Schema) -> Schema:
    return {"type": "array", "items": of}


def mapping(to: Schema) -> Schema:
    return {"type": "object", "additionalProperties": to}


def answer(**fields: Schema) -> Schema:
    """An object that has all of *fields*, and in later versions may have more."""
    return {"type": "object", "properties": fields, "required": list(fields)}


def request(*required: str, **fields: Schema) -> Schema:
    """An object of *fields* and no others."""
    return {
        "type": "object",
        "properties": fields,
        "required": list(required),
        "additionalProperties": False,
    }


PROBLEM = answer(type=TEXT, title=TEXT, status=COUNT, detail=TEXT)
BAN = answer(
    subject=SUBJECT,
    kind=KIND,
    name=NAME,
    key=KEY,
    reason=REASON,
    since=MOMENT,
    until=maybe(MOMENT),
    failures=COUNT,
    services=_SERVICES,
    counterparts=_COUNTERPARTS,
    note=TEXT,
    origin={"enum": ["store", "file"]},
    observed=FLAG,
)
IMPOSED: Schema = {"allOf": [BAN, answer(message=TEXT)]}
LIFTED = answer(
    subject=SUBJECT,
    kind=KIND,
    bans=listing(BAN),
    had_failures=FLAG,
    still=maybe(BAN),
    inside=COUNT,
    inside_lifted=COUNT,
    message=TEXT,
)
SESSION = answer(
    session=TEXT,
    address=ADDRESS,
    subject=OPTIONAL_SUBJECT,
    login=OPTIONAL_NAME,
    mailbox=OPTIONAL_NAME,
    listener=TEXT,
    service=TEXT,
    since=MOMENT,
    received=COUNT,
    sent=COUNT,
)
SESSIONS = answer(sessions=listing(SESSION), total=COUNT, next=maybe(COUNT))
CLOSED = answer(closed=COUNT, message=TEXT)
WHY = answer(
    subject=SUBJECT,
    kind=KIND,
    ban=maybe(BAN),
    held=FLAG,
    allowed=maybe(TEXT),
    trusted=maybe(TEXT),
    counted=SUBJECT,
    limit=TEXT,
    count=COUNT,
    failures=listing(answer(at=MOMENT, service=TEXT, counterpart=NAME)),
    under_way=COUNT,
    waiting=COUNT,
    inside=COUNT,
)
BUSY = answer(
    subject=SUBJECT,
    failures=COUNT,
    limit=TEXT,
    ban=maybe(BAN),
    services=_SERVICES,
    counterparts=_COUNTERPARTS,
    last=maybe(MOMENT),
)
TOP = answer(addresses=listing(BUSY), logins=listing(BUSY))
STATUS = answer(
    version=TEXT,
    started=MOMENT,
    uptime_seconds=COUNT,
    doors=listing({"type": "object"}),
    connections=answer(
        **{"waiting": COUNT, "in": COUNT, "max-waiting": COUNT, "lowered-from": maybe(COUNT)}
    ),
    store=answer(state={"enum": ["ok", "degraded"]}, reason=TEXT, behind=COUNT),
    policy={"type": "object"},
    observe=FLAG,
    bans=answer(all=COUNT, file=COUNT, observed=COUNT),
    observed=mapping(COUNT),
    counted=mapping(COUNT),
    under_way=COUNT,
    dropped=COUNT,
    services=mapping(answer(**dict.fromkeys(OUTCOMES.values(), COUNT))),
    file=maybe(TEXT),
    faults=listing(TEXT),
    warnings=listing(TEXT),
    pending=listing(TEXT),
)
SETTING = answer(key=TEXT, value=TEXT, origin=TEXT)
DONE = answer(message=TEXT, stored=FLAG)
MESSAGE = answer(message=TEXT)
HEALTH = answer(status={"enum": ["ok", "degraded"]})
_RESULT: Schema = {"enum": ["accepted", "repeated"]}
_REPORTED_ONE = answer(
    result=_RESULT, counted=listing(TEXT), banned=listing(TEXT), bans=listing(BAN), stored=FLAG
)
_REPORTED_SEVERAL = answer(
    accepted=COUNT,
    repeated=COUNT,
    refused=COUNT,
    bans=listing(BAN),
    reports=listing(
        answer(
            id=OPTIONAL_TEXT,
            result={"enum": ["accepted", "repeated", "refused"]},
            why=OPTIONAL_TEXT,
            banned=listing(TEXT),
        )
    ),
    stored=FLAG,
)
REPORTED: Schema = {"oneOf": [_REPORTED_ONE, _REPORTED_SEVERAL]}
CHECKED = answer(banned=FLAG, bans=listing(BAN))
EVENT = answer(event={"enum": [event.value for event in Event]}, time=MOMENT)

PAIR: Schema = {"type": "array", "items": TEXT, "minItems": 2, "maxItems": 2}
PAIRS = answer(data=listing(PAIR))
NOTHING = answer(data={"type": "array", "maxItems": 0})

_EITHER: Sequence[Mapping[str, Any]] = (
    {
        "required": ["subject"],
        "properties": {"subject": SUBJECT, "subjects": {"type": "null"}},
    },
    {
        "required": ["subjects"],
        "properties": {"subject": {"type": "null"}, "subjects": {"type": "array"}},
    },
)
_WHOM: Schema = {"oneOf": list(_EITHER)}
_SUBJECTS: Mapping[str, Schema] = {
    "subject": OPTIONAL_SUBJECT,
    "subjects": {"type": ["array", "null"], "items": SUBJECT, "minItems": 1},
}
_SECONDS: Schema = {
    "type": "number",
    "exclusiveMinimum": -MAX_SECONDS,
    "exclusiveMaximum": MAX_SECONDS,
}
_ASKED = request(
    "subject",
    subject=SUBJECT,
    until={"anyOf": [MOMENT, {"type": "null"}, _SECONDS]},
    reason={"enum": [*(reason.value for reason in Reason), None]},
    note=OPTIONAL_NOTE,
)
_WHOM_OR_BANS: Schema = {
    "oneOf": [
        *(
            {**one, "properties": {**one["properties"], "bans": {"type": "null"}}}
            for one in _EITHER
        ),
        {
            "required": ["bans"],
            "properties": {
                "subject": {"type": "null"},
                "subjects": {"type": "null"},
                "bans": {"type": "array"},
            },
        },
    ]
}
WISH: Schema = {
    **request(
        **_SUBJECTS,
        bans={"type": ["array", "null"], "items": _ASKED, "minItems": 1},
        **{"for": PERIOD},
        note=OPTIONAL_NOTE,
        yes=FLAG,
        check=FLAG,
        brief=FLAG,
        close=FLAG,
    ),
    **_WHOM_OR_BANS,
}
CLOSINGS: Schema = {**request(**_SUBJECTS, yes=FLAG), **_WHOM}
LIFTS: Schema = {**request(**_SUBJECTS, inside=FLAG, check=FLAG, brief=FLAG), **_WHOM}
_REPORT: Mapping[str, Schema] = {
    "address": ADDRESS,
    "login": OPTIONAL_TEXT,
    "service": {"type": "string", "pattern": "^[a-z0-9-]{1,32}$"},
    "time": {"anyOf": [MOMENT, {"type": "null"}, _SECONDS]},
    "id": {"type": ["string", "null"], "minLength": 1, "maxLength": 200},
}
REPORT: Schema = {
    "oneOf": [
        request("address", "service", **_REPORT, reports={"type": "null"}),
        request(
            "reports",
            reports={
                "type": "array",
                # No maxItems: more is too large, 413, and not malformed.
                "description": "at most 10,000",
                "items": {"description": "as above; one that is not is refused by itself"},
            },
        ),
    ]
}
ACCOUNT = answer(name=TEXT, enabled=FLAG, scheme=TEXT, scram=FLAG)
ACCOUNT_DONE: Schema = {"allOf": [ACCOUNT, answer(message=TEXT)]}
NEW_ACCOUNT = request("name", "password", name=_SAID, password=_SAID)
ACCOUNT_CHANGE: Schema = {
    "oneOf": [
        request("password", password=_SAID, enabled={"type": "null"}),
        request("enabled", password={"type": "null"}, enabled=FLAG),
    ]
}
ACCOUNT_LINES = request("lines", lines={**listing(TEXT), "minItems": 1}, check=FLAG)
NEW_SETTING = request("key", key=KEY, value=OPTIONAL_TEXT, yes=FLAG)
