"""The words of servers that refuse a login for another reason than a wrong password.

In the answer that is meant for wrong passwords there is nothing but these words to tell it by. The
texts are the servers' own; a client chooses none of them, since they stand at an end of the line.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from mailward.wire.dialogue import Trouble

# libsasl's words (sasl_errstring), which Cyrus, and Postfix with smtpd_sasl_type = cyrus, repeat;
# those of Postfix itself (src/xsasl); and what several servers say.
_ENDINGS: Mapping[Trouble, bytes] = MappingProxyType(
    {
        Trouble.SERVER: (
            rb"generic failure|no memory available|no mechanism available"
            rb"|remote authentication server unavailable|transient failure \(e\.g\., weak key\)"
            rb"|SASL library is not initialized|error when parsing configuration file"
            rb"|connection lost to authentication server|can't connect to authentication server"
            rb"|authentication backend error"
            rb"|temporary (?:authentication |system |internal )?(?:failure|problem|error)"
        ),
        Trouble.ACCOUNT: (
            rb"mechanism too weak for this user|encryption needed to use mechanism"
            rb"|one time use of a plaintext password will enable requested mechanism for user"
            rb"|passphrase expired, has to be reset|passphrase locked|account disabled"
            rb"|user exists, but no verifier for user"
        ),
    }
)
# Dovecot's (src/login-common, src/lib-master), with Postfix's words before them where it asks it.
_BEGINNINGS: Mapping[Trouble, bytes] = MappingProxyType(
    {
        Trouble.SERVER: (rb"internal (?:error occurred|login failure)\. refer to server log"),
        # "Authorization failed" alone is how other servers say a wrong password.
        Trouble.ACCOUNT: (
            rb"login disabled for this user\b|(?<=authentication failed: )authorization failed\.?\Z"
        ),
        Trouble.RIGHT: rb"maximum number of connections from user",
    }
)
_BEHIND = rb"\.?(?: \[[^\]]*\])?\Z"  # Dovecot adds its name and the time
_BEFORE = rb"(?:[245]\.[0-9]{1,3}\.[0-9]{1,3} )?(?:Error: authentication failed: )?"
_KNOWN = tuple(
    (trouble, re.compile(pattern, re.IGNORECASE))
    for trouble, pattern in (
        *((trouble, rb"(?P<words>%b)%b" % (words, _BEHIND)) for trouble, words in _ENDINGS.items()),
        *((trouble, rb"\A%b(?P<words>%b)" % (_BEFORE, w)) for trouble, w in _BEGINNINGS.items()),
        # RFC 3463 section 2: class 4 is no lasting refusal, whatever the code before it says.
        (Trouble.SERVER, rb"\A(?P<words>4\.[0-9]{1,3}\.[0-9]{1,3})(?: |\Z)"),
    )
)


def other_reason(text: bytes) -> tuple[str, Trouble] | None:
    """The known words in the *text* of a refusal, and what they are about.

    ``None`` where it is refused as a wrong password is.

    >>> other_reason(b"Login failed: generic failure")
    ('generic failure', <Trouble.SERVER: 'server'>)
    >>> other_reason(b"5.7.8 Error: authentication failed: (reason unavailable)")
    """
    for trouble, pattern in _KNOWN:
        if found := pattern.search(text):
            return found["words"].decode("ascii").lower(), trouble
    return None
