"""Whom an address belongs to.

An account's own domain is local, and so is the host's: ``localhost``, ``server.hostname`` and the
domain that names without one have (``default-domain``). At these, whoever has a name without a
domain is found. What is at a local domain and nobody's never goes to a relay: it would come back.
"""

from __future__ import annotations

from collections.abc import Callable

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.naming import AccountNaming, domain_a_labels
from mailward_mailbox.delivery.envelope import Elsewhere, Here, Recipient

LOCALHOST = "localhost"


class Directory:
    """Looks up the *accounts*; *naming* and *hostname* give what is configured at present."""

    def __init__(
        self, accounts: Accounts, naming: Callable[[], AccountNaming], hostname: Callable[[], str]
    ) -> None:
        self._accounts = accounts
        self._naming = naming
        self._hostname = hostname

    def find(self, address: str) -> Recipient | None:
        """Whose *address* it is; ``None``: nobody's, though it would be an account's here."""
        local = address.rpartition("@")[0]
        if not local:
            return self._here(address, address)
        domain = self._domain_of(address)
        if domain in self._own_domains():
            return self._here(address, address) or self._here(address, local)
        if domain not in self._account_domains():
            return Elsewhere(address)
        found = self._here(address, address)
        # Where accounts are told apart by the local part alone, any domain would do for a login.
        is_its_own = found is not None and self._domain_of(found.account.name) == domain
        return found if is_its_own else None

    def address(self, name: str) -> str:
        """The address of the account of that *name*, as others may write it."""
        if "@" in name:
            return name
        return f"{name}@{self._naming().default_domain or self._hostname()}"

    def _here(self, address: str, name: str) -> Here | None:
        account = self._accounts.find(name.encode())
        return None if account is None else Here(address, account)

    def _domain_of(self, address: str) -> str:
        domain = domain_a_labels(address.rpartition("@")[2].removesuffix("."))
        return self._naming().domain_aliases.get(domain, domain)

    def _own_domains(self) -> set[str]:
        named = {LOCALHOST, self._hostname(), self._naming().default_domain}
        return {self._domain_of(domain) for domain in named if domain}

    def _account_domains(self) -> set[str]:
        return {self._domain_of(domain) for domain in self._accounts.domains}
