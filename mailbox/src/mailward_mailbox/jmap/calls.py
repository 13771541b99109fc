"""All methods there are, and how the calls of a request are made."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType

from mailward_mailbox.jmap.desk import Desk
from mailward_mailbox.jmap.errors import MethodError
from mailward_mailbox.jmap.limits import CORE, MAIL, SUBMISSION
from mailward_mailbox.jmap.methods.changing import email_import, email_set
from mailward_mailbox.jmap.methods.emails import email_get, thread_get
from mailward_mailbox.jmap.methods.mailboxes import mailbox_get, mailbox_query
from mailward_mailbox.jmap.methods.query import email_query
from mailward_mailbox.jmap.methods.standard import changes, query_changes
from mailward_mailbox.jmap.methods.submission import (
    identity_get,
    nothing_changes,
    submission_get,
    submission_set,
)
from mailward_mailbox.jmap.requests import Answer, Budget, Call, Request, resolve
from mailward_mailbox.jmap.values import Arguments, identifier
from mailward_mailbox.mail.model import MailError
from mailward_mailbox.turns import let_others_work

Method = Callable[[Desk, Arguments], Awaitable[Mapping[str, object]]]

_log = logging.getLogger("mailbox.jmap")

METHODS: Mapping[str, tuple[str, Method]] = MappingProxyType(
    {
        "Mailbox/get": (MAIL, mailbox_get),
        "Mailbox/query": (MAIL, mailbox_query),
        "Mailbox/changes": (MAIL, changes),
        "Mailbox/queryChanges": (MAIL, query_changes),
        "Thread/get": (MAIL, thread_get),
        "Thread/changes": (MAIL, changes),
        "Email/get": (MAIL, email_get),
        "Email/query": (MAIL, email_query),
        "Email/set": (MAIL, email_set),
        "Email/import": (MAIL, email_import),
        "Email/changes": (MAIL, changes),
        "Email/queryChanges": (MAIL, query_changes),
        "Identity/get": (SUBMISSION, identity_get),
        "Identity/changes": (SUBMISSION, nothing_changes),
        "EmailSubmission/get": (SUBMISSION, submission_get),
        "EmailSubmission/changes": (SUBMISSION, nothing_changes),
        "EmailSubmission/set": (SUBMISSION, submission_set),
    }
)
"""By name: the capability that a request must use for it, and what it does."""


async def make_calls(request: Request, desk: Desk) -> list[Answer]:
    """The answers to all calls, made one after the other."""
    answers: list[Answer] = []
    budget = Budget()
    for call in request.calls:
        try:
            answer = await _make(call, request, desk, answers, budget)
            answers.append((call.name, answer, call.id))
            answers += ((name, further, call.id) for name, further in desk.further)
        except MethodError as error:
            answers.append(("error", error.answer(), call.id))
        except MailError as error:
            answers.append(("error", MethodError("serverFail", str(error)).answer(), call.id))
        except Exception:  # noqa: BLE001 -- the other calls are none the worse for it
            _log.exception("a call of %a broke off", call.name[:100])
            answers.append(("error", MethodError("serverFail").answer(), call.id))
        desk.further.clear()
        await let_others_work()
    return answers


async def _make(
    call: Call, request: Request, desk: Desk, answers: list[Answer], budget: Budget
) -> Mapping[str, object]:
    if call.name == "Core/echo" and CORE in request.using:
        return await _resolved(call, answers, budget)
    known = METHODS.get(call.name)
    if known is None or known[0] not in request.using:
        raise MethodError("unknownMethod")
    arguments = Arguments(await _resolved(call, answers, budget))
    if arguments.one("accountId", identifier) != desk.account.id:
        raise MethodError("accountNotFound")
    return await known[1](desk, arguments)


async def _resolved(call: Call, answers: list[Answer], budget: Budget) -> dict[str, object]:
    """Its arguments; what they refer to may be as large as an answer."""
    if any(name.startswith("#") for name in call.arguments):
        return await asyncio.to_thread(resolve, call, answers, budget)
    return call.arguments
