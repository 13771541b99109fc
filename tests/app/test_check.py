"""``serve --check`` tells all that ``serve`` would fail with, in the same words."""

from __future__ import annotations

import io
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from mailward.app.cli.main import main
from mailward.app.paths import usual_config_path
from tests.app.test_daemon import SERVE, daemon

CERTIFICATE = '[certificate.default]\ncert = "chain.pem"\nprivate-key = "key.pem"\n'
LOOP = """\
[server.listener.imap]
protocol = "imap"
bind = ["{bind}"]
backend = "dovecot"
allow-plaintext = true
[backend.dovecot]
address = "{address}"
client-address = "proxy-v2"
"""


@pytest.fixture(scope="module")
def pair() -> tuple[bytes, bytes]:
    """A certificate and its key."""
    issued = trustme.CA().issue_cert("mail.test")
    return issued.cert_chain_pems[0].bytes(), issued.private_key_pem.bytes()


@pytest.fixture
def unused_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    return port


def serve(folder: Path, *more: str, data: Path | None = None) -> tuple[int, str]:
    """The exit status of ``mailward serve``, and all it says."""
    said = io.StringIO()
    file = str(folder / "c.toml")
    with redirect_stdout(said), redirect_stderr(said):
        status = main(["serve", "--config", file, "--data", str(data or folder), *more])
    return status, said.getvalue()


def run(folder: Path, text: str, *more: str) -> tuple[int, str]:
    (folder / "c.toml").write_text(text)
    return serve(folder, *more)


def both(folder: Path, text: str, status: int = 78, data: Path | None = None) -> str:
    """What is said by ``--check`` and by a start, which say the same and end with *status*."""
    (folder / "c.toml").write_text(text)
    told = serve(folder, "--check", data=data)
    assert told[0] == status, told[1]
    assert serve(folder, data=data) == told
    return told[1].replace(f"{folder}/", "")


def encrypted(key: bytes) -> bytes:
    loaded = load_pem_private_key(key, None)
    return loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


def test_a_certificate_that_is_missing(tmp_path: Path) -> None:
    assert both(tmp_path, CERTIFICATE) == (
        "c.toml:2: certificate.default: chain.pem cannot be read: No such file or directory\n"
    )


@pytest.mark.parametrize(
    ("chain", "key", "said"),
    [
        (lambda c, _: c, lambda _, k: k[:200], "key.pem holds no private key that can be used"),
        (lambda c, _: c, lambda c, _: c, "key.pem holds no private key that can be used"),
        (lambda c, _: c, lambda _, k: encrypted(k), "key.pem is encrypted, and nobody is asked"),
        (lambda _, k: k, lambda c, _: c, "chain.pem holds a private key and no certificate"),
        (
            lambda c, _: c,
            lambda _c, _k: trustme.CA().issue_cert("a.test").private_key_pem.bytes(),
            "key.pem is not the key of chain.pem",
        ),
    ],
)
def test_a_key_that_is_cut_or_none_or_encrypted_or_swapped_or_another(
    chain: Callable[[bytes, bytes], bytes],
    key: Callable[[bytes, bytes], bytes],
    said: str,
    pair: tuple[bytes, bytes],
    tmp_path: Path,
) -> None:
    (tmp_path / "chain.pem").write_bytes(chain(*pair))
    (tmp_path / "key.pem").write_bytes(key(*pair))
    assert both(tmp_path, CERTIFICATE).startswith(f"c.toml:2: certificate.default: {said}")


def test_what_the_embedded_server_needs_is_not_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mailward_mailbox", None)
    text = LOOP.format(bind="127.0.0.1:0", address="127.0.0.1:2")
    said = both(tmp_path, text.replace('"dovecot"', '"embedded"'))
    assert said.startswith('c.toml:4: server.listener.imap.backend: backend = "embedded" needs')
    assert "install mailward[embedded]" in said


EMBEDDED = """
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:0"]
backend = "embedded"

[backend.embedded]
"""


def test_a_folder_of_the_embedded_server_whose_sockets_would_have_too_long_paths(
    tmp_path: Path,
) -> None:
    said = both(tmp_path, f'{EMBEDDED}path = "{"m" * 100}"\n')
    assert said.startswith("c.toml:8: backend.embedded.path: the path of a Unix socket has at most")


def test_accounts_of_the_embedded_server_that_cannot_be_read_are_warned_about(
    tmp_path: Path,
) -> None:
    (tmp_path / "c.toml").write_text(EMBEDDED)
    (tmp_path / "embedded").mkdir()
    status, said = serve(tmp_path, "--check")
    assert (status, "warning" in said) == (0, False)
    (tmp_path / "embedded" / "accounts.db").write_bytes(b"no database" * 1_000)
    status, said = serve(tmp_path, "--check")
    assert status == 0
    assert "warning: the built-in mail server cannot use its data: " in said
    assert "accounts.db: it is damaged" in said


def test_a_folder_of_the_embedded_server_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "embedded").write_text("")
    said = both(tmp_path, f'{EMBEDDED}path = "embedded"\n')
    assert said.startswith("c.toml:8: backend.embedded.path: embedded: Not a directory")


@pytest.mark.parametrize(
    ("bind", "host"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "LocalHost"),
        ("127.0.0.1", "imap.localhost"),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.1", "[::ffff:127.0.0.1]"),
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.3.2.1"),
        ("[::1]", "localhost"),
        ("[::]", "[::1]"),
        ("[::1]", "[::]"),
    ],
)
def test_a_backend_that_leads_back_to_a_listener(
    bind: str, host: str, unused_port: int, tmp_path: Path
) -> None:
    text = LOOP.format(bind=f"{bind}:{unused_port}", address=f"{host}:{unused_port}")
    assert both(tmp_path, text) == (
        f"c.toml:7: backend.dovecot.address: listener imap listens on {bind}:{unused_port}, so each"
        " login would lead back to this mailward: set backend.dovecot.address to where the mail"
        " server itself listens\n"
    )


def test_a_backend_by_an_address_of_this_machine_leads_to_a_wildcard(
    unused_port: int, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as route:
        route.connect(("192.0.2.1", 9))  # nothing is sent: it only chooses our address
        ours = route.getsockname()[0]
    text = LOOP.format(bind=f"0.0.0.0:{unused_port}", address=f"{ours}:{unused_port}")
    assert "would lead back to this mailward" in both(tmp_path, text)


def test_a_mail_server_beside_the_listener_is_no_loop(unused_port: int, tmp_path: Path) -> None:
    text = LOOP.format(bind=f"127.0.0.1:{unused_port}", address=f"127.0.0.2:{unused_port}")
    assert run(tmp_path, text, "--check") == (0, f"{tmp_path}/c.toml is right\n")


def test_every_fault_is_told_at_once(unused_port: int, tmp_path: Path) -> None:
    (tmp_path / "mailward.sock").write_text("no socket")
    loop = LOOP.format(bind=f"127.0.0.1:{unused_port}", address=f"localhost:{unused_port}")
    text = loop + CERTIFICATE + '[server.security]\nfail2ban = "x"\n[store]\npath = "no/x.db"\n'
    said = both(tmp_path, text)
    for key in (
        "c.toml:7: backend.dovecot.address: ",
        "c.toml:10: certificate.default: ",
        "c.toml:13: server.security.fail2ban: ",
        "management.socket: mailward.sock is there and is no socket",
    ):
        assert key in said


def test_a_store_that_is_no_store_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "mailward.db"
    with closing(sqlite3.connect(path)) as database:
        database.executescript("PRAGMA user_version = 99; PRAGMA application_id = 1836544612;")
    assert "store.path: mailward.db: a newer mailward wrote it (schema 99" in both(tmp_path, "")
    path.unlink()
    path.write_bytes(b"no database" * 1_000)
    assert "store.path: mailward.db: it is no database; move it away" in both(tmp_path, "")
    path.unlink()
    assert "there is no folder no; make it or set store.path" in both(
        tmp_path, '[store]\npath = "no/x.db"\n'
    ).replace(f"{tmp_path}/", "")
    assert "store.path: c.toml" in both(tmp_path, '[store]\npath = "c.toml"\n')


def test_a_socket_path_that_is_too_long(tmp_path: Path) -> None:
    said = both(tmp_path, f'[management]\nsocket = "{"s" * 100}"\n')
    assert said.startswith("c.toml:2: management.socket: cannot make the management socket")


def test_a_backend_behind_a_unix_socket_that_no_mail_server_can_have(tmp_path: Path) -> None:
    said = both(tmp_path, f'[backend.b]\naddress = "unix:{"s" * 100}"\n')
    assert said.startswith("c.toml:2: backend.b.address: the path of a Unix socket has at most 107")
    with socket.socket(socket.AF_UNIX) as ours:
        ours.bind(str(tmp_path / "mailward.sock"))
        (tmp_path / "alias").symlink_to("mailward.sock")
        said = both(tmp_path, '[backend.b]\naddress = "unix:alias"\n')
    assert said.startswith("c.toml:2: backend.b.address: this is the management socket of this")


def test_a_data_directory_that_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = both(tmp_path, "", data=tmp_path / "file")
    assert "mailward: cannot use the data directory file: Not a directory" in said


def test_a_port_that_another_program_has_may_be_free_at_the_next_try(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        text = LOOP.format(bind=f"127.0.0.1:{port}", address="127.0.0.1:2")
        assert both(tmp_path, text, status=1) == (
            f"c.toml:3: server.listener.imap.bind: 127.0.0.1:{port} is in use by another program;"
            " stop it or choose another port\n"
        )


def test_a_port_that_the_running_daemon_has_is_no_fault(unused_port: int, tmp_path: Path) -> None:
    text = LOOP.format(bind=f"127.0.0.1:{unused_port}", address="127.0.0.1:2")
    with daemon(tmp_path, text):
        assert run(tmp_path, text, "--check") == (0, f"{tmp_path}/c.toml is right\n")
        file, data = str(tmp_path / "c.toml"), str(tmp_path)
        second = subprocess.run(
            [*SERVE, "--config", file, "--data", data], capture_output=True, text=True, check=False
        )
        assert second.returncode == 1
        assert "another mailward runs on the data directory" in second.stderr


def test_a_stored_key_that_asks_for_what_is_missing_is_left_out_and_told(tmp_path: Path) -> None:
    with daemon(tmp_path, ""):
        pass
    with closing(sqlite3.connect(tmp_path / "mailward.db")) as database, database:
        for key in ("cert", "private-key"):
            database.execute(
                "INSERT INTO setting VALUES (?, ?)", (f"certificate.default.{key}", "/nowhere.pem")
            )
    status, said = run(tmp_path, "", "--check")
    assert (status, said.endswith("is right\n")) == (0, True)
    left_out = "(stored): certificate.default: /nowhere.pem cannot be read"
    assert left_out in said
    with daemon(tmp_path, "") as running:
        assert running.poll() is None


def test_root_looks_at_files_as_the_user_that_owns_the_data(
    pair: tuple[bytes, bytes], tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        return  # nobody else can see with the eyes of another user
    for parent in (tmp_path, *tmp_path.parents[:3]):
        parent.chmod(0o755)
    (tmp_path / "chain.pem").write_bytes(pair[0])
    (tmp_path / "key.pem").write_bytes(pair[1])
    (tmp_path / "key.pem").chmod(0o600)
    os.chown(tmp_path, 65534, 65534)
    status, said = run(tmp_path, CERTIFICATE, "--check")
    assert status == 78
    assert "key.pem cannot be read: Permission denied" in said
    assert "were looked at as the user nobody, who owns" in said
    (tmp_path / "key.pem").chmod(0o644)
    # To listen below 1024 is a right that the service gets from systemd, and not by its user.
    low = LOOP.format(bind="127.0.0.9:143", address="127.0.0.1:2").replace("dovecot", "b")
    assert run(tmp_path, low + CERTIFICATE, "--check") == (0, f"{tmp_path}/c.toml is right\n")


def test_without_a_configuration_the_file_that_was_looked_for_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("MAILWARD_CONFIG", "")
    usual = usual_config_path()
    if usual.exists():
        return  # the machine of somebody who uses mailward
    assert main(["serve", "--data", str(tmp_path), "--check"]) == 0
    assert f"(there is no {usual}) is right" in capsys.readouterr().out


def test_a_token_key_that_others_can_read_or_that_is_cut(tmp_path: Path) -> None:
    key = tmp_path / "token.key"
    key.write_bytes(bytes(32))
    key.chmod(0o644)
    assert "its mode is 0644; run: chmod 600 token.key" in both(tmp_path, "")
    key.chmod(0o600)
    key.write_bytes(bytes(31))
    assert "it has 31 octets and should have 32" in both(tmp_path, "")
