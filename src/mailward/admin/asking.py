"""Whom a request is about: one subject, several, or bans as they were listed before."""

from __future__ import annotations

from collections.abc import Sequence

from mailward.admin.control import MAX_COMPLAINTS
from mailward.admin.forms import Fields, MalformedError
from mailward.admin.wishes import Asked, Complaint, Refusal, RefusedError, Unsaid, check_note
from mailward.guard.bites import in_bites
from mailward.rules.model import Reason


def subjects_of(fields: Fields) -> Sequence[str]:
    """One ``subject``, or ``subjects``.

    Raises:
        MalformedError: it has none of them, or both.
    """
    one, several = fields.optional_text("subject"), fields.texts("subjects")
    if one is not None and several is None:
        return [one]
    if several is not None and one is None:
        return several
    raise MalformedError('say whom: either "subject" or "subjects"')


async def asked_for(fields: Fields) -> Sequence[Asked]:
    """The same, or ``bans``: each a subject with an end, a reason and a note of its own.

    Raises:
        MalformedError: it has none of them, or several.
        RefusedError: with a complaint for each of ``bans`` that is wrong.
    """
    bans = fields.optional_list("bans")
    if bans is None:
        return [Asked(text) for text in subjects_of(fields)]
    if fields.optional_text("subject") is not None or fields.texts("subjects") is not None:
        raise MalformedError('say whom: "subject", "subjects" or "bans"')
    asked: list[Asked] = []
    complaints: list[Complaint] = []
    async for bite in in_bites(list(enumerate(bans))):
        for index, ban in bite:
            try:
                asked.append(_asked(ban))
            except (MalformedError, RefusedError) as error:
                complaints.append(Complaint(str(error), index))
    if complaints:
        message = f"{len(complaints)} of {len(bans)} bans are refused; nothing was changed"
        raise RefusedError(Refusal.WRONG, message, complaints[:MAX_COMPLAINTS])
    if not asked:
        raise MalformedError('"bans" must be a list of bans')
    return asked


def _asked(value: object) -> Asked:
    if not isinstance(value, dict):
        raise MalformedError("a ban must be an object")
    fields = Fields(value)
    is_said = "until" in value
    until, note = fields.instant("until"), fields.optional_text("note")
    reason = fields.optional_text("reason") or Reason.MANUAL.value
    subject = fields.text("subject")
    fields.end()
    if reason not in {known.value for known in Reason}:
        raise MalformedError('"reason" must be authentication or manual')
    check_note(note or "")
    return Asked(subject, until if is_said else Unsaid.UNSAID, Reason(reason), note)
