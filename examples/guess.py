"""Makes guesses at the doors of a mail server of your own, and prints what each was told.

    python examples/guess.py --imap 127.0.0.1:1143 --submission 127.0.0.1:1587 \\
        --managesieve 127.0.0.1:14190 --jmap 127.0.0.1:1080 --login alice --times 8

Where several doors are given they take turns. Without ``--password`` every guess is wrong.
"""

from __future__ import annotations

import argparse
import http.client
import imaplib
import secrets
import smtplib
import socket
import sys
from base64 import b64encode
from collections.abc import Callable
from functools import partial
from itertools import cycle
from typing import TextIO

MAX_TIMES = 1_000  # it shows what a guard does; it is no tool to attack with
TIMEOUT_SECONDS = 200.0  # a stock Dovecot makes those who guess wrong wait

Door = tuple[str, Callable[[str, str], str]]
"""A name, and what tries a login and a password there and says what it was told."""


def try_imap(host: str, port: int, login: str, password: str) -> str:
    try:
        client = imaplib.IMAP4(host, port, TIMEOUT_SECONDS)
        try:
            client.login(login, password)
            client.logout()
        finally:
            if client.state != "LOGOUT":
                client.shutdown()
    except imaplib.IMAP4.abort as error:
        return f"closed: {error}"
    except imaplib.IMAP4.error as error:
        return f"NO {text(error.args[0])}"
    except OSError as error:
        return f"no connection: {error}"
    return "OK, logged in"


def try_submission(host: str, port: int, login: str, password: str) -> str:
    try:
        client = smtplib.SMTP(host, port, "guess.example", TIMEOUT_SECONDS)
        try:
            client.ehlo_or_helo_if_needed()
            client.user, client.password = login, password
            code, words = client.auth("PLAIN", client.auth_plain)
        finally:
            client.close()
    except smtplib.SMTPResponseException as error:
        return f"{error.smtp_code} {text(error.smtp_error)}"
    except smtplib.SMTPServerDisconnected as error:
        return f"closed: {error}"
    except OSError as error:
        return f"no connection: {error}"
    return f"{code} {text(words)}"


def try_managesieve(host: str, port: int, login: str, password: str) -> str:
    initial = b64encode(f"\0{login}\0{password}".encode()).decode()
    try:
        with (
            socket.create_connection((host, port), TIMEOUT_SECONDS) as client,
            client.makefile("rw", encoding="utf-8", newline="\r\n") as lines,
        ):
            if not response(lines).startswith("OK"):
                return "closed: no greeting"
            print(f'AUTHENTICATE "PLAIN" "{initial}"', file=lines, flush=True)
            return response(lines) or "closed: no answer"
    except OSError as error:
        return f"no connection: {error}"


def response(lines: TextIO) -> str:
    """The line that ends a response; what comes before it are capabilities."""
    return next((line.strip() for line in lines if line.startswith(("OK", "NO", "BYE"))), "")


def try_jmap(host: str, port: int, login: str, password: str) -> str:
    credentials = b64encode(f"{login}:{password}".encode()).decode()
    client = http.client.HTTPConnection(host, port, timeout=TIMEOUT_SECONDS)
    try:
        client.request(
            "GET", "/.well-known/jmap", headers={"Authorization": f"Basic {credentials}"}
        )
        answer = client.getresponse()
    except OSError as error:  # the end without an answer is one, too
        return f"no connection: {error}"
    except http.client.HTTPException as error:
        return f"closed: {error}"
    finally:
        client.close()
    return f"{answer.status} {answer.reason}"


def text(words: bytes | str) -> str:
    return words.decode(errors="replace") if isinstance(words, bytes) else words


def place(given: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port``."""
    host, colon, port = given.rpartition(":")
    if not (colon and host and port.isascii() and port.isdigit()):
        raise argparse.ArgumentTypeError(f'"{given}" is no host:port')
    return host.removeprefix("[").removesuffix("]"), int(port)


def times(given: str) -> int:
    if not (given.isascii() and given.isdigit() and 1 <= int(given) <= MAX_TIMES):
        raise argparse.ArgumentTypeError(f"from 1 to {MAX_TIMES}")
    return int(given)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make guesses and print what each was told.")
    parser.add_argument("--imap", type=place, metavar="HOST:PORT")
    parser.add_argument("--submission", type=place, metavar="HOST:PORT")
    parser.add_argument("--managesieve", type=place, metavar="HOST:PORT")
    parser.add_argument("--jmap", type=place, metavar="HOST:PORT")
    parser.add_argument("--login", required=True)
    parser.add_argument("--password", help="the right one, to see a login succeed")
    parser.add_argument("--times", type=times, default=1, help=f"1 to {MAX_TIMES}")
    options = parser.parse_args()

    doors: list[Door] = []
    if options.imap:
        doors.append(("imap", partial(try_imap, *options.imap)))
    if options.submission:
        doors.append(("submission", partial(try_submission, *options.submission)))
    if options.managesieve:
        doors.append(("managesieve", partial(try_managesieve, *options.managesieve)))
    if options.jmap:
        doors.append(("jmap", partial(try_jmap, *options.jmap)))
    if not doors:
        parser.error("give --imap, --submission, --managesieve or --jmap, or several of them")
    for number, (name, attempt) in zip(range(1, options.times + 1), cycle(doors), strict=False):
        password = options.password or f"wrong-{secrets.token_hex(4)}"
        print(f"{number:4} {name:11} {attempt(options.login, password)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
