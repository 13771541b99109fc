"""The SASL mechanisms that clients are offered."""

from __future__ import annotations

from collections.abc import Sequence

from mailward.wire.door import ScramMechanism
from mailward_mailbox.accounts.accounts import Accounts


def offered_mechanisms(accounts: Accounts) -> Sequence[str]:
    """Their names; SCRAM only where every account can log in by it."""
    scram = (ScramMechanism.SHA_256.value,) if accounts.has_scram else ()
    return ("PLAIN", "LOGIN", *scram)
