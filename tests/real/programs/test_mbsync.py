"""mbsync with the mechanisms that it takes by itself: mail here and there becomes the same."""

from __future__ import annotations

from pathlib import Path

from tests.real.programs.server import MailServer, letter, run, subject, written

_CONFIGURATION = """\
IMAPAccount account
Host localhost
Port {port}
User {name}
Pass {password}
SSLType {tls}
{trust}

IMAPStore far
Account account

MaildirStore near
Path {folder}/mail/
Inbox {folder}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Expunge Both
SyncState *
"""


class Mbsync:
    """One machine that keeps a copy of an account's mail."""

    def __init__(self, folder: Path, server: MailServer) -> None:
        self._mail = folder / "mail"
        self._mail.mkdir()
        trust = f"CertificateFile {server.authority}" if server.has_tls else ""
        tls = "IMAPS" if server.is_implicit else "STARTTLS"
        self._configuration = written(
            folder / "mbsyncrc",
            _CONFIGURATION.format(
                port=server.imap_port,
                name=server.name,
                password=server.password,
                tls=tls if server.has_tls else "None",
                trust=trust,
                folder=folder,
            ),
        )

    def sync(self) -> str:
        return run("mbsync", "-V", "-c", self._configuration, "-a")

    def files(self) -> dict[str, bytes]:
        """Every file of the copy."""
        files = (file for file in self._mail.rglob("*") if file.is_file())
        return {str(file.relative_to(self._mail)): file.read_bytes() for file in files}

    def messages(self, mailbox: str = "INBOX") -> dict[str, Path]:
        """The files of a mailbox, by the subject."""
        files = [*self._mail.glob(f"{mailbox}/new/*"), *self._mail.glob(f"{mailbox}/cur/*")]
        return {subject(file.read_bytes()): file for file in files}

    def write(self, mailbox: str, message: bytes, flags: str = "") -> None:
        (self._mail / mailbox / "cur" / f"1.test:2,{flags}").write_bytes(message)


def test_mail_is_the_same_here_and_there_and_a_second_run_changes_nothing(
    any_server: MailServer, tmp_path: Path
) -> None:
    server = any_server
    server.append(letter("one"), letter("two", "Grüße\r\n\r\n.\r\n"), letter("three"))
    server.append(letter("plan"), mailbox="Work.2026", flags="\\Flagged")
    copy = Mbsync(tmp_path, server)
    copy.sync()
    assert set(copy.messages()) == {"one", "two", "three"}
    assert b"Gr\xc3\xbc\xc3\x9fe" in copy.messages()["two"].read_bytes()
    assert copy.messages("Work.2026")["plan"].name.endswith(":2,F")

    copy.write("Work.2026", letter("from here"), "S")
    copy.messages()["one"].unlink()
    two = copy.messages()["two"]
    two.rename(two.parent.parent / "cur" / f"{two.name.partition(':')[0]}:2,RS")
    copy.sync()
    assert server.subjects() == {"two": {"\\Seen", "\\Answered"}, "three": set()}
    assert server.subjects("Work.2026") == {"plan": {"\\Flagged"}, "from here": {"\\Seen"}}

    before = copy.files(), server.state()
    copy.sync()
    assert (copy.files(), server.state()) == before


def test_a_wrong_password_is_told_at_once(server: MailServer, tmp_path: Path) -> None:
    copy = Mbsync(tmp_path, server)
    configuration = tmp_path / "mbsyncrc"
    written(configuration, configuration.read_text().replace(server.password, "wrong-opensesame"))
    told = run("mbsync", "-c", configuration, "-a", status=1)
    assert "Authentication failed" in told
    assert copy.files() == {}
