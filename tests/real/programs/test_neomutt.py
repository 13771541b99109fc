"""neomutt with the mechanisms that it takes by itself, at a terminal, its keys pushed."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote

from tests.real.processes import eventually
from tests.real.programs.server import SECONDS, MailServer, letter, subject, written
from tests.real.servers import program

_CONFIGURATION = """\
set folder = "{scheme}://{name}@localhost:{port}/"
set spool_file = "+INBOX"
set imap_user = "{name}"
set imap_pass = "{password}"
set smtp_url = "{smtp_scheme}://{name}@localhost:{smtp_port}/"
set smtp_pass = "{password}"
set from = "{name}@localhost"
set ssl_starttls = {tls}
set ssl_force_tls = {tls}
{trust}
set copy = yes
set record = "+Sent"
set imap_check_subscribed = no
set header_cache = ""
set sleep_time = 0
set confirm_append = no
set confirm_create = no
set delete = yes
set move = no
set quit = yes
set mark_old = no
set wait_key = no
set save_empty = yes
"""


class Neomutt:
    """One reader's neomutt."""

    def __init__(self, folder: Path, server: MailServer) -> None:
        self._environment = {"TERM": "xterm", "HOME": str(folder), "LANG": "C.UTF-8"}
        self.terminal = folder / "terminal"
        """All that it has shown."""
        self._configuration = written(
            folder / "neomuttrc",
            _CONFIGURATION.format(
                scheme="imaps" if server.is_implicit else "imap",
                port=server.imap_port,
                smtp_scheme="smtps" if server.is_implicit else "smtp",
                smtp_port=server.submission_port,
                name=server.name,
                password=server.password,
                tls="yes" if server.has_tls else "no",
                trust=f'set ssl_ca_certificates_file = "{server.authority}"'
                if server.has_tls
                else "unset ssl_starttls",
            ),
        )

    def _command(self, keys: str, *settings: str) -> list[str]:
        """The command that runs it at a terminal of its own with *keys* pushed."""
        words = [f"-e {quote(setting)}" for setting in (*settings, f"push {quote(keys)}")]
        neomutt = f"{program('neomutt')} -n -F {self._configuration} {' '.join(words)}"
        return [program("script"), "-qfec", neomutt, str(self.terminal)]

    def press(self, keys: str, *settings: str) -> None:
        """Let it start, take *keys*, and end."""
        done = subprocess.run(
            self._command(keys, *settings),
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout[-4000:]

    @contextmanager
    def waiting(self, *settings: str) -> Iterator[None]:
        """Let it show the inbox until the block ends."""
        self.terminal.touch()
        with subprocess.Popen(
            self._command("", *settings),
            env=self._environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as child:
            try:
                yield
            finally:
                child.terminate()


def test_mail_is_listed_read_flagged_searched_and_moved(
    any_server: MailServer, tmp_path: Path
) -> None:
    server = any_server
    server.append(letter("one"), letter("two", "the word is xyzzy"), letter("three"))
    neomutt, shown = Neomutt(tmp_path, server), tmp_path / "shown"
    neomutt.press(
        "<limit>=b xyzzy<enter><flag-message><display-message>"
        f"<pipe-message>cat > {shown}<enter><exit>"
        "<limit>~s three<enter><save-message>=Archive.2026<enter>"
        "<limit>~s one<enter><delete-message><quit>"
    )
    assert "the word is xyzzy" in shown.read_text()
    assert server.subjects() == {"two": {"\\Flagged", "\\Seen"}}
    assert set(server.subjects("Archive.2026")) == {"three"}


def test_what_is_sent_arrives_and_a_copy_is_kept(server: MailServer, tmp_path: Path) -> None:
    text, attached = tmp_path / "text", tmp_path / "list.txt"
    text.write_text("Grüße\n.\n")
    attached.write_text("bread\n")
    Neomutt(tmp_path, server).press(
        f"<mail>{server.name}@localhost<enter>shopping<enter>"
        f"<attach-file>{attached}<enter><send-message><quit>",
        f'set editor = "cat {text} >>"',
    )
    ((_, received),) = server.messages()
    ((flags, kept),) = server.messages("Sent")
    assert subject(received) == subject(kept) == "shopping"
    assert b"bread" in received
    assert flags == {"\\Seen"}


def test_it_hears_of_new_mail_while_it_waits(server: MailServer, tmp_path: Path) -> None:
    neomutt, heard = Neomutt(tmp_path, server), tmp_path / "heard"
    settings = ("set imap_idle = yes", "set timeout = 1", "set mail_check = 1")
    hears = f'set new_mail_command = "touch {heard}"'
    with neomutt.waiting(*settings, hears):
        eventually(
            lambda: b"INBOX" in neomutt.terminal.read_bytes(),
            "it shows the inbox",
            within_seconds=30,
        )
        server.send(letter("news"))
        eventually(heard.exists, "it has heard of the message", within_seconds=30)
