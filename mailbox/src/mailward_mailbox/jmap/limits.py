"""What a client is told that it may do, and is held to (RFC 8620 section 2)."""

from __future__ import annotations

from mailward_mailbox.mail.model import MAX_MAILBOXES, MAX_MESSAGE_OCTETS, MAX_NAME_OCTETS

CORE = "urn:ietf:params:jmap:core"
MAIL = "urn:ietf:params:jmap:mail"
SUBMISSION = "urn:ietf:params:jmap:submission"

MAX_UPLOAD_OCTETS = MAX_MESSAGE_OCTETS
MAX_CONCURRENT_UPLOADS = 4
MAX_REQUEST_OCTETS = 10_000_000
MAX_VALUES = 100_000
"""Of a request: each takes far longer to read than its octets."""
MAX_CONCURRENT_REQUESTS = 4
MAX_EVENT_SOURCES = 16
MAX_CALLS = 32
MAX_OBJECTS_IN_GET = 1_000
MAX_OBJECTS_IN_SET = 1_000
MAX_NESTING = 64
MAX_RECIPIENTS = 100

SORT_OPTIONS = (
    *("receivedAt", "sentAt", "size", "from", "to", "subject", "hasKeyword"),
    *("allInThreadHaveKeyword", "someInThreadHaveKeyword"),
)

CAPABILITIES: dict[str, dict[str, object]] = {
    CORE: {
        "maxSizeUpload": MAX_UPLOAD_OCTETS,
        "maxConcurrentUpload": MAX_CONCURRENT_UPLOADS,
        "maxSizeRequest": MAX_REQUEST_OCTETS,
        "maxConcurrentRequests": MAX_CONCURRENT_REQUESTS,
        "maxCallsInRequest": MAX_CALLS,
        "maxObjectsInGet": MAX_OBJECTS_IN_GET,
        "maxObjectsInSet": MAX_OBJECTS_IN_SET,
        "collationAlgorithms": ["i;ascii-casemap", "i;unicode-casemap"],
    },
    MAIL: {},
    SUBMISSION: {},
}
ACCOUNT_CAPABILITIES: dict[str, dict[str, object]] = {
    CORE: {},
    MAIL: {  # RFC 8621 section 1.3.1
        "maxMailboxesPerEmail": MAX_MAILBOXES,
        "maxMailboxDepth": None,
        "maxSizeMailboxName": MAX_NAME_OCTETS,
        "maxSizeAttachmentsPerEmail": MAX_MESSAGE_OCTETS,
        "emailQuerySortOptions": list(SORT_OPTIONS),
        "mayCreateTopLevelMailbox": False,
    },
    SUBMISSION: {"maxDelayedSend": 0, "submissionExtensions": {}},
}
