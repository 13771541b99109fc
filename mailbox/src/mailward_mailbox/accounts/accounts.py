"""The accounts: who exists, whose password is right, and what an operator changes."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import ScramOpening, ScramProof
from mailward.wire.secret import Secret
from mailward_mailbox.accounts.checking.accepted import AcceptedClients
from mailward_mailbox.accounts.checking.likenesses import Likenesses
from mailward_mailbox.accounts.checking.proofs import Proofs
from mailward_mailbox.accounts.checking.turns import BusyError, ClientAddress, TurnPlace
from mailward_mailbox.accounts.errors import (
    AccountBusyError,
    AccountError,
    AccountExistsError,
    AccountView,
    Misread,
    MisreadError,
    NoSuchAccountError,
)
from mailward_mailbox.accounts.file import Account
from mailward_mailbox.accounts.hashes import Hashes, Strength
from mailward_mailbox.accounts.names import check_password, fit_account_name
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.accounts.passwd import Imported, read_passwd
from mailward_mailbox.accounts.schemes import is_own, matches_imported, scheme_of
from mailward_mailbox.accounts.scram import ScramKeys, ScramServer
from mailward_mailbox.accounts.table import AccountTable
from mailward_mailbox.instant import Instant

_BUSY = Unavailable("too many passwords are being checked")
HASHED_AT_ONCE = 16
"""Of the passwords in a list: they leave room in line for logins."""
_OPERATOR = TurnPlace((b"operator",), is_reserved=True)
MAIL = "mail"
_log = logging.getLogger("mailbox.accounts")


@dataclass(frozen=True, slots=True)
class _Checked:
    """*renewed*: what is to be kept of the password from now on, where it is right."""

    is_right: bool
    renewed: tuple[str, ScramKeys] | None = field(default=None, repr=False)


class Accounts:
    """All accounts, in the file at *path*; *naming* gives how names are folded at present.

    If the file is lost, but the folder *mail* (``None``: ``mail`` beside the file) holds mail of
    accounts, no login is answered.

    Raises:
        AccountError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        naming: Callable[[], AccountNaming],
        clock: Callable[[], Instant],
        strength: Strength,
        mail: Path | None = None,
    ) -> None:
        self._naming = naming
        self._table = AccountTable(path, naming, mail or path.parent / MAIL)
        self._hashes = Hashes(strength)
        # Compared with a guess while there are no accounts, and besides every imported hash.
        self._random, _ = self._hashes.made(Secret(secrets.token_bytes(16)))
        self._likenesses = Likenesses(self._table.secret, self._hashes, self._table.by_id.values())
        self._accepted = AcceptedClients()
        self._proofs = Proofs(clock)
        self._writing = asyncio.Lock()

    # -- logging in ----------------------------------------------------------------------------

    @property
    def has_scram(self) -> bool:
        """Whether every account that may log in can do so by SCRAM, with any client.

        An imported hash has no keys until its owner logs in with the password once, and some
        clients refuse keys with too many rounds. A client that is offered SCRAM tries nothing else.
        """
        return self._table.has_scram

    def find(self, name: bytes) -> Account | None:
        """The account of that name however it is spelled, whether enabled or not."""
        return self._table.find(name)

    def name_of(self, account: str) -> str:
        """The name of the account with that id, or the id where the account was removed."""
        known = self._table.by_id.get(account)
        return account if known is None else known.name

    async def verify(
        self, name: bytes, password: Secret, client: ClientAddress | None = None
    ) -> Account | Rejected | Unavailable:
        """The account that *name* and *password* belong to.

        A check takes the same work whether there is such an account, whether it is enabled or not.
        It waits for its turn among those of other networks than that of *client*; an account has
        turns kept for the addresses that it was logged in from before.
        """
        if self._table.outage:
            return Unavailable(self._table.outage)
        account = self.find(name)
        # To HMAC a password with NULs behind it is the same password.
        owner = account if b"\0" not in password.reveal() else None
        if owner is not None and self._proofs.holds(owner, password):
            self._accepted.add(owner.id, client)
            return owner
        hashed = self._hash_like(name) if account is None else account.password
        place = self._accepted.place(None if account is None else account.id, client)
        try:
            check = partial(self._check, hashed, password, owner)
            checked = await self._hashes.compute(check, place)
        except BusyError:
            return _BUSY
        if owner is None or not checked.is_right or not self.is_current(owner):
            return Rejected()
        if checked.renewed is not None:
            owner = await self._renew(owner, *checked.renewed)
        self._proofs.add(owner, password)
        self._accepted.add(owner.id, client)
        return owner

    def open_scram(self, opening: ScramOpening) -> tuple[ScramServer, Account | None] | Unavailable:
        """Begin an exchange; with a name that no account has it looks the same."""
        if self._table.outage:
            return Unavailable(self._table.outage)
        account = self.find(opening.login)
        if account is not None and account.scram is not None:
            return ScramServer(opening, account.scram), account
        name = self._unknown_name(opening.login)
        likeness = self._likenesses.scram(name)
        keys = self._hashes.stranger_keys(self._table.secret, name, likeness)
        return ScramServer(opening, keys), None

    def prove_scram(
        self,
        begun: tuple[ScramServer, Account | None],
        proof: ScramProof,
        client: ClientAddress | None = None,
    ) -> tuple[Account, bytes] | Rejected:
        """End it: the account that is proven, and the server's own proof for the client."""
        server, account = begun
        signature = server.signature(proof)
        if signature is None or account is None or not self.is_current(account):
            return Rejected()
        if server.authorization and self.find(server.authorization) != account:
            return Rejected()
        self._accepted.add(account.id, client)
        return account, signature

    def is_current(self, account: Account) -> bool:
        """Whether *account* may still log in, with the password it had."""
        return self._table.is_current(account)

    def while_current(
        self, account: Account, end: Callable[[], object]
    ) -> AbstractContextManager[None]:
        """Call *end* as soon as *account* may not log in any more with what it had."""
        return self._table.while_current(account, end)

    # -- what an operator does -----------------------------------------------------------------

    def faults(self) -> Sequence[str]:
        """What is wrong with the file of the accounts, a line each; for ``status``."""
        return self._table.faults()

    @property
    def domains(self) -> AbstractSet[str]:
        """The domains in the names of accounts."""
        return self._table.domains

    @property
    def count(self) -> int:
        """How many accounts there are, as far as is known."""
        return len(self._table.by_id)

    def everybody(self) -> Sequence[AccountView]:
        """All accounts by name.

        Raises:
            AccountStorageError: their file is lost.
        """
        self._table.check_known()
        views = [self._view(account) for account in self._table.by_id.values()]
        return sorted(views, key=lambda view: view.name)

    def one(self, name: str) -> AccountView:
        """The account of that name however it is spelled.

        Raises:
            NoSuchAccountError: there is none.
            AccountStorageError: the file of the accounts is lost.
        """
        return self._view(self._named(name))

    async def add(self, name: str, password: Secret) -> AccountView:
        """Raises:
        AccountError: the name or the password is unfit, or the name is taken.
        """
        check_password(password)
        self._new_name(name)
        hashed, keys = await self._made(password)
        async with self._writing:
            account = Account(secrets.token_hex(12), self._new_name(name), hashed, keys)
            await self._put(account)
        return self._view(account)

    async def set_password(self, name: str, password: Secret) -> AccountView:
        check_password(password)
        self._named(name)
        hashed, keys = await self._made(password)
        async with self._writing:
            account = self._named(name)
            account = replace(account, password=hashed, scram=keys, changed=account.changed + 1)
            await self._put(account)
        return self._view(account)

    async def set_enabled(self, name: str, *, is_enabled: bool) -> AccountView:
        async with self._writing:
            account = replace(self._named(name), is_enabled=is_enabled)
            await self._put(account)
        return self._view(account)

    async def remove(self, name: str) -> AccountView:
        """Its mail stays where it is; a new account of that name begins without it."""
        async with self._writing:
            account = self._named(name)
            await self._table.remove(account, self._forget)
        return self._view(account)

    async def take_in(self, lines: Sequence[str], *, check: bool = False) -> int:
        naming = self._naming()
        read = await asyncio.to_thread(lambda: list(read_passwd(lines, naming)))
        found = self._fit(read)
        if check:
            return len(found)
        made: list[Account] = []
        for start in range(0, len(found), HASHED_AT_ONCE):
            some = found[start : start + HASHED_AT_ONCE]
            made += await asyncio.gather(*map(self._taken_in, some))
        async with self._writing:
            self._fit(read)  # some name may have been taken meanwhile
            await self._put(*made)
        return len(found)

    async def close(self) -> None:
        self._hashes.close()
        await self._table.close()

    # -- inside --------------------------------------------------------------------------------

    def _fit(self, read: Sequence[Imported | Misread]) -> list[Imported]:
        """The lines of a list, if all of them can be taken.

        Raises:
            MisreadError: some cannot.
        """
        found: dict[str, Imported] = {}
        misread: list[Misread] = []
        for one in read:
            match one:
                case Misread():
                    misread.append(one)
                case Imported(line, name) if name in found or self._table.has(name):
                    misread.append(Misread(line, f"there is an account {name} already"))
                case Imported(line, name):
                    found[name] = one
        if misread:
            raise MisreadError(misread)
        return list(found.values())

    async def _taken_in(self, one: Imported) -> Account:
        hashed, keys = one.hashed, one.scram
        if one.plain is not None:
            hashed, keys = await self._made(one.plain)
        return Account(secrets.token_hex(12), one.name, hashed, keys, one.is_enabled)

    def _named(self, name: str) -> Account:
        self._table.check_known()
        account = self.find(name.encode("utf-8", "surrogatepass"))
        if account is None:
            raise NoSuchAccountError(f"there is no account {name}")
        return account

    def _new_name(self, text: str) -> str:
        name = fit_account_name(text, self._naming())
        if self.find(name.encode()) is not None:
            raise AccountExistsError(f"there is an account {name} already")
        return name

    def _view(self, account: Account) -> AccountView:
        scheme = scheme_of(account.password)
        has_scram = account.scram is not None and not account.scram.is_outdated
        return AccountView(account.name, account.is_enabled, scheme, has_scram)

    def _hash_like(self, name: bytes) -> str:
        """The hash that a guess for an unknown name is compared with, for the work alone."""
        account = self._likenesses.account(self._unknown_name(name))
        return self._random if account is None else self._table.by_id[account].password

    def _unknown_name(self, name: bytes) -> str:
        """A name without an account, the same for all of its spellings where it has several."""
        return self._naming().login(name) or name.decode("latin-1")

    def _check(self, hashed: str, password: Secret, owner: Account | None) -> _Checked:
        """In one of the threads that compute hashes. *owner* is whose password it would be."""
        if is_own(hashed):
            is_right = self._hashes.matches(hashed, password)
        else:
            is_right = matches_imported(hashed, password)
            # And the work of any other check: a fast scheme would tell of an import.
            self._hashes.matches(self._random, password)
        if not is_right or owner is None or not owner.is_enabled:
            return _Checked(is_right)
        is_outdated = (
            not is_own(hashed)
            or self._hashes.is_outdated(hashed)
            or owner.scram is None
            or owner.scram.is_outdated
        )
        return _Checked(is_right, self._hashes.made(password) if is_outdated else None)

    async def _renew(self, owner: Account, hashed: str, keys: ScramKeys) -> Account:
        """Keep the same password in another form, if it is still that of *owner*."""
        async with self._writing:
            known = self._table.by_id.get(owner.id)
            if known is None or known.changed != owner.changed:
                return owner
            renewed = replace(known, password=hashed, scram=keys)
            try:
                await self._put(renewed)
            except AccountError as error:
                # The login is right all the same; the next one tries again.
                _log.warning("the hash of %s cannot be made anew: %s", known.name, error)
                return owner
        return renewed

    async def _made(self, password: Secret) -> tuple[str, ScramKeys]:
        try:
            return await self._hashes.compute(partial(self._hashes.made, password), _OPERATOR)
        except BusyError:
            raise AccountBusyError("too many passwords are being hashed; try again") from None

    async def _put(self, *accounts: Account) -> None:
        await self._table.put(accounts, self._likenesses.put)

    def _forget(self, account: str) -> None:
        self._likenesses.remove(account)
        self._accepted.forget(account)
