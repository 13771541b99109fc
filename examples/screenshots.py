"""Makes the pictures in docs/images: what `mailward status` and `mailward top` show.

    python examples/screenshots.py docs/images

A daemon on loopback stands before a throw-away Dovecot and Postfix. Some sixty guesses come over
its three doors, from addresses that are reserved for documentation: PROXY headers tell them. Needs
root, because both mail servers start with it.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import cycle
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.real.attack import Door, Line, Service, offer  # noqa: E402 -- needs ROOT
from tests.real.processes import Child, private_folder  # noqa: E402 -- needs ROOT
from tests.real.servers import Dovecot, Postfix, running  # noqa: E402 -- needs ROOT

MAILWARD = Path(sys.executable).with_name("mailward")
PICTURES = ("status", "top")
COLUMNS = 100
AT_ONCE = 8
PASSWORDS = {"alice": "alices-own", "bob": "bobs-own"}
WRONG = "wrong"

HOST = "127.0.7.1"
DOORS = (
    Door(Service.IMAP, 143, HOST),
    Door(Service.SUBMISSION, 587, HOST),
    Door(Service.MANAGESIEVE, 4190, HOST),
)
CONFIGURATION = """\
[server.security]
fail2ban = "20/1d"
max-waiting = 1000
allowed-networks = {{ "198.51.100.0/24" }}

[server.proxy]
trusted-networks = {{ "127.0.0.0/8" }}
{listeners}
[backend.dovecot]
address = "127.0.0.1:{dovecot}"
client-address = "proxy-v2"

[backend.pigeonhole]
address = "127.0.0.1:{pigeonhole}"
client-address = "proxy-v2"

[backend.postfix]
address = "127.0.0.1:{postfix}"
client-address = "proxy-v2"
"""
LISTENER = """
[server.listener.{name}]
protocol = "{name}"
bind = ["{host}:{port}"]
backend = "{backend}"
proxy-protocol = true
allow-plaintext = true
"""
BACKENDS = {
    Service.IMAP: "dovecot",
    Service.SUBMISSION: "postfix",
    Service.MANAGESIEVE: "pigeonhole",
}
BEHIND = {
    Service.IMAP: b"z LOGOUT\r\n",
    Service.SUBMISSION: b"QUIT\r\n",
    Service.MANAGESIEVE: b"LOGOUT\r\n",
}
ELSEWHERE = re.compile(r"@font-face\s*\{[^}]*\}\s*|<!-- Generated.*?-->\s*")
"""What names a place in the network, of fonts above all: a reader has one of their own."""


@dataclass(frozen=True, slots=True)
class Try:
    """One login as a client at *address* tries it."""

    address: str
    login: str
    password: str = WRONG


def tries() -> Iterator[Try]:
    """One attacker who tries many names, many who try one, one of IPv6, and people who mistype."""
    for number in range(20):
        yield Try("203.0.113.9", ("admin", "info", "test", "office")[number % 4] + "")
    for number in range(20):
        yield Try(f"192.0.2.{10 + number % 8}", "bob")
    for number in range(11):
        yield Try(f"2001:db8:7::{1 + number:x}", "root")
    for _ in range(3):
        yield Try("198.51.100.4", "alice")
    yield from [Try("198.51.100.4", "alice", PASSWORDS["alice"])] * 9
    yield from [Try("203.0.113.9", "admin")] * 12  # by now it is dropped
    yield from [Try("192.0.2.44", "bob", PASSWORDS["bob"])] * 2


def attempt(door: Door, one: Try) -> None:
    """Make *one* at *door*, hear all that it is told, and leave."""
    version = ip_address(one.address).version
    behind = "192.0.2.1" if version == 4 else "2001:db8::1"  # noqa: PLR2004 -- IPv4
    header = f"PROXY TCP{version} {one.address} {behind} 40000 {door.port}\r\n"
    with Line(door) as line, suppress(ConnectionError):  # a banned address is dropped
        line.say(header.encode() + offer(door, one.login, one.password) + BEHIND[door.service])
        line.hear_all()


def attack() -> None:
    """In three parts, since the second and third are about bans that the first brought about."""
    all_tries = list(tries())
    for part in (all_tries[:54], all_tries[54:63], all_tries[63:]):
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(attempt, cycle(DOORS), part))


def configuration(dovecot: Dovecot, postfix: Postfix) -> str:
    listeners = "".join(
        LISTENER.format(
            name=door.service.value, host=HOST, port=door.port, backend=BACKENDS[door.service]
        )
        for door in DOORS
    )
    return CONFIGURATION.format(
        listeners=listeners,
        dovecot=dovecot.haproxy_port,
        pigeonhole=dovecot.sieve_haproxy_port,
        postfix=postfix.haproxy_port,
    )


def told(folder: Path, words: Sequence[str]) -> str:
    """What `mailward` prints when it is called with *words*."""
    return subprocess.run(  # noqa: S603 -- the program of this repository
        [MAILWARD, "--data", folder / "data", *words], capture_output=True, text=True, check=True
    ).stdout


def picture(command: str, output: str) -> str:
    """A terminal as SVG in which *command* printed *output*; nothing in it is fetched."""
    with Path("/dev/null").open("w") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        console.print(Text.assemble(("$ ", "bold green"), (f"mailward {command}", "bold")))
        console.print(Text(output.rstrip()))
        svg = console.export_svg(title="mailward", unique_id=command)
    return ELSEWHERE.sub("", svg)


def main() -> int:
    # SIGTERM ends it as Ctrl-C does: nothing stays behind.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    target = Path(sys.argv[1])
    target.mkdir(exist_ok=True)
    with private_folder() as folder:
        dovecot = Dovecot(folder, PASSWORDS)
        postfix = Postfix(folder, dovecot.sasl_socket)
        with running(dovecot, postfix):
            file = folder / "config.toml"
            file.write_text(configuration(dovecot, postfix))
            log = folder / "log"
            command: list[str | Path] = [MAILWARD, "serve", "--config", file]
            command += ["--data", folder / "data"]
            daemon = Child(command, output=log, folder=folder)
            try:
                daemon.wait_until(lambda: log.exists() and " is ready" in log.read_text())
                attack()
                told(folder, ("ban", "192.0.2.128/25", "--for", "1w", "--note", "scanners"))
                for words in PICTURES:
                    (target / f"{words}.svg").write_text(picture(words, told(folder, [words])))
            finally:
                daemon.terminate()
    return 0


if __name__ == "__main__":
    sys.exit(main())
