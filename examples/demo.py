"""Makes two accounts for `make run DEMO=1`, and prints what to do with them.

    python examples/demo.py examples/loopback.toml .run

Their passwords are made up at each start, and printed once: nothing else knows them.
"""

from __future__ import annotations

import asyncio
import secrets
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from mailward_mailbox.accounts.accounts import Accounts
from mailward_mailbox.accounts.hashes import Strength
from mailward_mailbox.accounts.naming import AccountNaming
from mailward_mailbox.instant import Instant as MailInstant
from mailward_mailbox.server import ACCOUNTS

from mailward.rules.model import Instant
from mailward.settings.build import build
from mailward.settings.configuration import EMBEDDED, Configuration, DoorTls, Protocol, Web
from mailward.settings.dialect import read_keys
from mailward.wire.secret import Secret

PEOPLE = ("alice", "bob")
Spoken = Protocol | Web


def main() -> int:
    file, data = Path(sys.argv[1]), Path(sys.argv[2])
    now = time.time()  # noqa: TID251 -- a program of its own, with a clock of its own
    read = read_keys(file.read_text(), str(file))
    configuration = build(read, {}, Instant(now)).configuration
    if configuration is None or not configuration.uses_embedded:
        print(f"{file} has no listener before the embedded mail server: no account is made")
        return 1
    passwords = {name: secrets.token_urlsafe(9) for name in PEOPLE}
    asyncio.run(make(data / configuration.embedded.path / ACCOUNTS, passwords, now))
    print("\n".join(walk(configuration, data, passwords)), flush=True)
    return 0


async def make(file: Path, passwords: Mapping[str, str], now: float) -> None:
    """Give each of them an account with that password, which may be there already."""
    accounts = Accounts(file, AccountNaming, lambda: MailInstant(now), Strength())
    for name, password in passwords.items():
        change = accounts.add if accounts.find(name.encode()) is None else accounts.set_password
        await change(name, Secret(password.encode()))
    await accounts.close()


def walk(configuration: Configuration, data: Path, passwords: Mapping[str, str]) -> Iterator[str]:
    """What can be tried at the doors that there are, in another terminal."""
    doors = ports(configuration)
    alice = f"-u alice:{passwords['alice']}"
    ca = f"--cacert {data / 'self-signed.pem'}"
    yield ""
    for name, password in passwords.items():
        yield f"account {name}, password {password}"
    yield "\nIn another terminal:\n"
    letter = "printf 'From: alice\\r\\nSubject: hello\\r\\n\\r\\nhow are you?\\r\\n'"
    if port := doors.get((Protocol.SUBMISSION, True)):
        to = "--mail-from alice@localhost --mail-rcpt alice@localhost"
        yield f"{letter} | curl -s {ca} {alice} {to} -T - smtps://localhost:{port}    # send"
    elif port := doors.get((Protocol.IMAP, True)):
        yield f"{letter} > {data}/letter"
        yield f"curl -s {ca} {alice} -T {data}/letter imaps://localhost:{port}/INBOX    # store it"
    if port := doors.get((Protocol.IMAP, True)):
        yield f"curl -s {ca} {alice} 'imaps://localhost:{port}/INBOX;MAILINDEX=1'    # read it"
    if port := doors.get((Web.JMAP, True)):
        yield f"curl -s {ca} {alice} -L https://localhost:{port}/.well-known/jmap    # or over JMAP"
    if port := doors.get((Protocol.MANAGESIEVE, False)):
        trusted = f"--tlscafile {data / 'self-signed.pem'}"
        yield f"sieve-connect -s localhost -p {port} -u alice {trusted}    # asks for her password"
    if port := doors.get((Protocol.IMAP, False)):
        program = Path(sys.executable).with_name("mailward")
        yield "\nAttack yourself, look, and undo it:\n"
        yield f"python examples/guess.py --imap 127.0.0.1:{port} --login bob --times 13"
        yield f"{program} --data {data} why 127.0.0.1"
        yield f"{program} --data {data} lift 127.0.0.1 bob"
    yield ""


def ports(configuration: Configuration) -> Mapping[tuple[Spoken, bool], int]:
    """The port of each protocol, once with TLS from the first byte and once without."""
    found: dict[tuple[Spoken, bool], int] = {}
    for door in configuration.listeners:
        if door.backend == EMBEDDED:
            found[door.protocol, has_tls(door.tls)] = door.binds[0].port
    for page in configuration.web:
        if page.backend == EMBEDDED:
            found[page.protocol, has_tls(page.tls)] = page.binds[0].port
    return found


def has_tls(tls: DoorTls | None) -> bool:
    return tls is not None and tls.implicit


if __name__ == "__main__":
    sys.exit(main())
