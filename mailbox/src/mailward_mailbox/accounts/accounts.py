"""The accounts: who exists, whose password is right, and what an operator changes."""

from __future__ import annotations

import asyncio
import hmac
import secrets
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from mailward.backends.port import (
    AccountBusyError,
    AccountError,
    AccountExistsError,
    AccountView,
    Misread,
    MisreadError,
    NoSuchAccountError,
    UnfitAccountError,
)
from mailward.rules.logins import Naming
from mailward.rules.model import Instant, Login
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.door import MAX_PASSWORD_OCTETS, ScramOpening, ScramProof
from mailward.wire.secret import Secret
from mailward_mailbox.accounts.file import Account, AccountFile
from mailward_mailbox.accounts.hashes import BusyError, Hashes, Strength
from mailward_mailbox.accounts.names import fit_account_name
from mailward_mailbox.accounts.passwd import Imported, read_passwd
from mailward_mailbox.accounts.schemes import is_own, matches_imported, scheme_of
from mailward_mailbox.accounts.scram import (
    ScramKeys,
    ScramServer,
)

PROOF_SECONDS = 60.0
"""So long a password that was right is known to be, without all the work: programs that speak
HTTP say theirs with every request."""
MAX_PROOFS = 10_000

_BUSY = Unavailable("too many passwords are being checked")


class Accounts:
    """All accounts, in the file at *path*; *naming* gives how names are folded at present.

    Raises:
        AccountError: the file cannot be opened.
    """

    def __init__(
        self,
        path: Path,
        naming: Callable[[], Naming],
        clock: Callable[[], Instant],
        strength: Strength,
    ) -> None:
        self._naming = naming
        self._clock = clock
        self._file = AccountFile(path)
        self._secret, accounts = self._file.load()
        self._by_id = {account.id: account for account in accounts}
        self._folded: tuple[Naming, dict[Login, str]] | None = None
        self._hashes = Hashes(strength)
        # Nobody's: what is compared for a name that nobody has.
        self._nobody = self._hashes.made(Secret(secrets.token_bytes(16)))
        self._sessions: list[tuple[Account, Callable[[], object]]] = []
        self._writing = asyncio.Lock()
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="accounts")
        self._key = secrets.token_bytes(32)
        self._proven: OrderedDict[bytes, Instant] = OrderedDict()

    # -- logging in ----------------------------------------------------------------------------

    @property
    def has_scram(self) -> bool:
        """Whether everybody who may log in can do so by SCRAM.

        An imported hash has no keys for it until its owner has said the password once; a client
        that is offered SCRAM would try nothing else.
        """
        return all(account.scram for account in self._by_id.values() if account.is_enabled)

    def find(self, name: bytes) -> Account | None:
        """The account of that name however it is spelled, whether enabled or not."""
        login = self._naming().login(name)
        found = None if login is None else self._by_login().get(login)
        return None if found is None else self._by_id[found]

    async def verify(self, name: bytes, password: Secret) -> Account | Rejected | Unavailable:
        """Whose *name* and *password* these are.

        It takes the same work whether there is such an account, whether it is enabled or not.
        """
        account = self.find(name)
        if b"\0" in password.reveal():
            account = None  # nobody's: and to HMAC one with NULs behind it is the same password
        if account is not None and self._was_proven(account, password):
            return account
        try:
            is_right = await self._hashes.compute(partial(self._is_right, account, password))
            if account is None or not is_right or not self.is_current(account):
                return Rejected()
            return await self._proven_now(account, password)
        except BusyError:
            return _BUSY
        except AccountError as error:
            return Unavailable(str(error))

    def open_scram(self, opening: ScramOpening) -> tuple[ScramServer, Account | None]:
        """Begin an exchange; with a name that nobody has it looks the same."""
        account = self.find(opening.login)
        if account is not None and account.scram is not None:
            return ScramServer(opening, account.scram), account
        name = self._naming().login(opening.login) or ""
        return ScramServer(opening, self._hashes.stranger_keys(self._secret, name)), None

    def prove_scram(
        self, begun: tuple[ScramServer, Account | None], proof: ScramProof
    ) -> tuple[Account, bytes] | Rejected:
        """End it: whose proof this is, and our own for the client."""
        server, account = begun
        signature = server.signature(proof)
        if signature is None or account is None or not self.is_current(account):
            return Rejected()
        if server.authorization and self.find(server.authorization) != account:
            return Rejected()
        return account, signature

    def is_current(self, account: Account) -> bool:
        """Whether *account* may still log in, with the password it had."""
        known = self._by_id.get(account.id)
        return known is not None and known.is_enabled and known.changed == account.changed

    @contextmanager
    def while_current(self, account: Account, end: Callable[[], object]) -> Iterator[None]:
        """Call *end* as soon as *account* may not log in any more with what it had."""
        session = (account, end)
        self._sessions.append(session)
        try:
            yield
        finally:
            self._sessions.remove(session)

    # -- what an operator does -----------------------------------------------------------------

    def everybody(self) -> Sequence[AccountView]:
        """All accounts by name."""
        views = [self._view(account) for account in self._by_id.values()]
        return sorted(views, key=lambda view: view.name)

    def one(self, name: str) -> AccountView:
        """The account of that name however it is spelled.

        Raises:
            NoSuchAccountError: there is none.
        """
        return self._view(self._named(name))

    async def add(self, name: str, password: Secret) -> AccountView:
        """Raises:
        AccountError: the name or the password is unfit, or the name is taken.
        """
        check_password(password)
        async with self._writing:
            name = self._new_name(name)
            hashed, keys = await self._made(password)
            account = Account(secrets.token_hex(12), name, hashed, keys)
            await self._put(account)
        return self._view(account)

    async def set_password(self, name: str, password: Secret) -> AccountView:
        check_password(password)
        async with self._writing:
            account = self._named(name)
            hashed, keys = await self._made(password)
            account = replace(account, password=hashed, scram=keys, changed=account.changed + 1)
            await self._put(account)
        return self._view(account)

    async def set_enabled(self, name: str, *, is_enabled: bool) -> AccountView:
        async with self._writing:
            account = replace(self._named(name), is_enabled=is_enabled)
            await self._put(account)
        return self._view(account)

    async def remove(self, name: str) -> AccountView:
        """Its mail is left where it is; whoever gets the name next does not get that."""
        async with self._writing:
            account = self._named(name)
            await self._write(
                partial(self._file.remove, account.id), lambda: self._by_id.pop(account.id)
            )
        return self._view(account)

    async def take_in(self, lines: Sequence[str], *, check: bool = False) -> int:
        async with self._writing:
            found, misread = self._read_list(lines)
            if misread:
                raise MisreadError(misread)
            if not check:
                made = [await self._taken_in(one) for one in found]
                await self._put(*made)
        return len(found)

    async def close(self) -> None:
        self._hashes.close()
        await asyncio.to_thread(self._writer.shutdown)
        self._file.close()

    # -- inside --------------------------------------------------------------------------------

    def _by_login(self) -> dict[Login, str]:
        """Ids by the names as they are folded at present."""
        naming = self._naming()
        if self._folded is None or self._folded[0] != naming:
            ids: dict[Login, str] = {}
            for account in self._by_id.values():
                login = naming.login(account.name.encode())
                if login is not None:
                    ids.setdefault(login, account.id)
            self._folded = naming, ids
        return self._folded[1]

    def _read_list(self, lines: Sequence[str]) -> tuple[list[Imported], list[Misread]]:
        found: dict[str, Imported] = {}
        misread: list[Misread] = []
        for one in read_passwd(lines, self._naming()):
            match one:
                case Misread():
                    misread.append(one)
                case Imported(line, name) if name in found or self.find(name.encode()):
                    misread.append(Misread(line, f"there is an account {name} already"))
                case Imported(line, name):
                    found[name] = one
        return list(found.values()), misread

    async def _taken_in(self, one: Imported) -> Account:
        hashed, keys = one.hashed, one.scram
        if one.plain is not None:
            hashed, keys = await self._made(one.plain)
        return Account(secrets.token_hex(12), one.name, hashed, keys, one.is_enabled)

    def _named(self, name: str) -> Account:
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
        return AccountView(account.name, account.is_enabled, scheme, account.scram is not None)

    def _is_right(self, account: Account | None, password: Secret) -> bool:
        """In one of the threads that compute hashes."""
        hashed = self._nobody if account is None else account.password
        if is_own(hashed):
            return self._hashes.matches(hashed, password)
        # Then the work of everybody else: how long it takes does not tell who was imported.
        is_right = matches_imported(hashed, password)
        self._hashes.matches(self._nobody, password)
        return is_right

    async def _proven_now(self, account: Account, password: Secret) -> Account:
        """Remember that *password* is right; renew what is kept of it where that is outdated."""
        if (
            not is_own(account.password)
            or self._hashes.is_outdated(account.password)
            or account.scram is None
        ):
            hashed, keys = await self._made(password)
            async with self._writing:
                known = self._by_id.get(account.id)
                if known is None or known.changed != account.changed:
                    return account
                account = replace(known, password=hashed, scram=keys)
                await self._put(account)
        self._proven[self._digest(account, password)] = self._clock()
        while len(self._proven) > MAX_PROOFS:
            self._proven.popitem(last=False)
        return account

    def _was_proven(self, account: Account, password: Secret) -> bool:
        at = self._proven.get(self._digest(account, password))
        return account.is_enabled and at is not None and self._clock() - at < PROOF_SECONDS

    def _digest(self, account: Account, password: Secret) -> bytes:
        # With the hash in it: what was right is forgotten with the password that it was.
        what = b"\0".join((account.id.encode(), account.password.encode(), password.reveal()))
        return hmac.digest(self._key, what, "sha256")[:16]

    async def _made(self, password: Secret) -> tuple[str, ScramKeys]:
        try:
            return await self._hashes.compute(
                lambda: (self._hashes.made(password), self._hashes.scram_keys(password))
            )
        except BusyError:
            raise AccountBusyError("too many passwords are being hashed; try again") from None

    async def _put(self, *accounts: Account) -> None:
        def apply() -> None:
            self._by_id |= {account.id: account for account in accounts}

        await self._write(partial(self._file.put, accounts), apply)

    async def _write(self, job: Callable[[], None], apply: Callable[[], object]) -> None:
        """Do *job*, and *apply* it here when the disk has it, though nobody waits any more."""

        def written(done: asyncio.Future[None]) -> None:
            if not done.cancelled() and done.exception() is None:
                apply()
                self._folded = None
                for account, end in list(self._sessions):
                    if not self.is_current(account):
                        end()

        doing = asyncio.get_running_loop().run_in_executor(self._writer, job)
        doing.add_done_callback(written)
        await asyncio.shield(doing)


def check_password(password: Secret) -> None:
    """Raises:
    UnfitAccountError: no protocol could carry it.
    """
    octets = password.reveal()
    if not octets:
        raise UnfitAccountError("the password is empty")
    if len(octets) > MAX_PASSWORD_OCTETS:
        raise UnfitAccountError(f"a password has {MAX_PASSWORD_OCTETS} octets at most")
    if set(octets) & set(b"\0\r\n"):
        raise UnfitAccountError("a password is one line")
