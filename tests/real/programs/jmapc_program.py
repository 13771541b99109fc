"""What a reader does with jmapc: a program of its own, for an interpreter that has jmapc.

It reads a JSON object from standard input (``host``, ``name``, ``password``, ``upload``: a file to
attach, ``download``: where it goes to) and prints one of what came of it. Only that interpreter may
import it: jmapc is under the GPL, which this repository is not.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from jmapc import (
    Client,
    Email,
    EmailAddress,
    EmailBodyPart,
    EmailBodyValue,
    EmailQueryFilterCondition,
    EmailSubmission,
    Ref,
)
from jmapc.methods import (
    EmailGet,
    EmailQuery,
    EmailSet,
    EmailSubmissionSet,
    IdentityGet,
    MailboxGet,
    ThreadGet,
)


def mailboxes(client: Client) -> dict[str, str]:
    """The mailboxes, by their role."""
    found = client.request(MailboxGet(ids=None)).data
    return {mailbox.role: mailbox.id for mailbox in found if mailbox.role}


def send(client: Client, drafts: str, about: str, upload: str) -> Any:
    """Send oneself a message with an attachment."""
    (identity,) = client.request(IdentityGet()).data
    me = EmailAddress(name=identity.name, email=identity.email)
    blob = client.upload_blob(upload)
    email = Email(
        mail_from=[me],
        to=[me],
        subject=about,
        keywords={"$draft": True},
        mailbox_ids={drafts: True},
        body_values={"body": EmailBodyValue(value="the word is xyzzy\nGrüße\n")},
        text_body=[EmailBodyPart(part_id="body", type="text/plain")],
        attachments=[EmailBodyPart(blob_id=blob.id, type="text/plain", name="list.txt")],
    )
    submission = EmailSubmission(email_id="#draft", identity_id=identity.id)
    made = client.request(
        [
            EmailSet(create={"draft": email}),
            EmailSubmissionSet(on_success_destroy_email=["#sent"], create={"sent": submission}),
        ],
        raise_errors=True,
    )
    return made[1].response.created["sent"].undo_status.value


def find(client: Client, inbox: str) -> Any:
    """The messages in the inbox that have the word, with their texts."""
    condition = EmailQueryFilterCondition(in_mailbox=inbox, text="xyzzy")
    found = client.request(
        [EmailQuery(filter=condition), EmailGet(ids=Ref("/ids"), fetch_text_body_values=True)],
        raise_errors=True,
    )
    return found[1].response.data


def work(client: Client, where: dict[str, str]) -> dict[str, Any]:
    roles = mailboxes(client)
    told: dict[str, Any] = {"roles": sorted(roles)}
    told["sent"] = send(client, roles["drafts"], "Grüße", where["upload"])
    (email,) = find(client, roles["inbox"])
    told["subject"] = email.subject
    told["from"] = email.mail_from[0].email
    told["text"] = [value.value for value in email.body_values.values()]
    in_drafts = EmailQueryFilterCondition(in_mailbox=roles["drafts"])
    told["drafts"] = client.request(EmailQuery(filter=in_drafts)).ids
    client.download_attachment(email.attachments[0], where["download"])
    (thread,) = client.request(ThreadGet(ids=[email.thread_id])).data
    told["thread"] = thread.email_ids == [email.id]
    moved = {f"mailboxIds/{roles['trash']}": True, f"mailboxIds/{roles['inbox']}": None}
    change = {"keywords/$flagged": True, "keywords/$seen": True, **moved}
    client.request(EmailSet(update={email.id: change}), raise_errors=True)
    told["left"] = len(find(client, roles["inbox"]))
    told["flags"] = sorted(find(client, roles["trash"])[0].keywords)
    return told


def listen(client: Client, _: dict[str, str]) -> dict[str, Any]:
    """Wait for the first event."""
    event = next(client.events)
    (state,) = event.data.changed.values()
    return {"changed": sorted(name for name, value in vars(state).items() if value)}


def main() -> None:
    where = json.load(sys.stdin)
    client = Client.create_with_password(where["host"], where["name"], where["password"])
    tasks = {"work": work, "listen": listen}
    json.dump(tasks[where["task"]](client, where), sys.stdout)


if __name__ == "__main__":
    main()
