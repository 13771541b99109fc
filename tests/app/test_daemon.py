"""``mailward serve`` as whoever starts and stops it sees it."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from mailward.app.premises import Premises, PremisesError

SERVE = [sys.executable, "-m", "mailward.app.cli.main", "serve"]


@contextmanager
def daemon(folder: Path, configuration: str = "") -> Iterator[subprocess.Popen[str]]:
    file = folder / "config.toml"
    file.write_text(configuration)
    with subprocess.Popen(
        [*SERVE, "--config", str(file), "--data", str(folder)], stderr=subprocess.PIPE, text=True
    ) as running:
        assert running.stderr is not None
        while "next:" not in running.stderr.readline():
            assert running.poll() is None
        try:
            yield running
        finally:
            running.kill()


def test_half_a_request_on_the_socket_does_not_hold_up_the_end(tmp_path: Path) -> None:
    with daemon(tmp_path) as running, socket.socket(socket.AF_UNIX) as operator:
        operator.connect(str(tmp_path / "mailward.sock"))
        operator.sendall(b"POST /api/bans HTTP/1.1\r\nContent-Length: 99\r\n\r\n{")
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0
    assert not (tmp_path / "mailward.sock").exists()


def test_few_descriptors_lower_the_usual_number_of_connections_and_warn_of_nothing(
    tmp_path: Path,
) -> None:
    said = tmp_path / "said"
    (tmp_path / "config.toml").write_text("")
    program = (
        "import resource, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (2064, 2064));"
        "from mailward.app.cli.main import main; sys.exit(main())"
    )
    options = ["--config", str(tmp_path / "config.toml"), "--data", str(tmp_path)]
    with (
        said.open("w") as log,
        subprocess.Popen([sys.executable, "-c", program, "serve", *options], stderr=log) as running,
    ):
        while "next:" not in said.read_text():
            assert running.poll() is None
        status = subprocess.run(
            [*SERVE[:-1], "status", "--data", str(tmp_path)],
            capture_output=True,
            text=True,
            check=True,
        )
        running.send_signal(signal.SIGTERM)
    assert "max-waiting" not in said.read_text()
    assert "waiting   0 of at most 1000 connections before login" in status.stdout
    assert "(10000 by default, for which the system gives too few" in status.stdout


def test_a_broken_file_is_not_reloaded_and_the_log_says_every_fault(tmp_path: Path) -> None:
    with daemon(tmp_path) as running:
        (tmp_path / "config.toml").write_text('[server.security]\nfail2ban = "x"\nnone = 1\n')
        running.send_signal(signal.SIGHUP)
        assert running.stderr is not None
        said = ""
        while "server.security.none" not in said:
            said += running.stderr.readline()
        assert "config.toml:2: server.security.fail2ban" in said
        running.send_signal(signal.SIGTERM)
        assert running.wait(10) == 0


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["--config", "/nowhere/c.toml"], 78, "/nowhere/c.toml: cannot be read"),
        (["--config", "/"], 78, "/: cannot be read: Is a directory"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_wrong_configuration(
    arguments: list[str], status: int, said: str, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [*SERVE, *arguments, "--data", str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (status, "")
    assert ended.stderr.startswith(said)


def test_check_reads_and_starts_nothing(tmp_path: Path) -> None:
    file = tmp_path / "c.toml"
    file.write_text('[server.security]\nfail2ban = "5/1h"\n')
    ended = subprocess.run(
        [*SERVE, "--config", str(file), "--data", str(tmp_path / "data"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stdout) == (0, f"{file} is right\n")
    assert not (tmp_path / "data").exists()


def test_a_file_in_the_place_of_the_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "precious.db").write_text("all my bans")
    premises = Premises(tmp_path)
    with pytest.raises(PremisesError, match="is no socket"):
        premises.open_socket("precious.db")
    premises.leave()
    assert (tmp_path / "precious.db").read_text() == "all my bans"


def test_two_daemons_never_share_a_data_directory(tmp_path: Path) -> None:
    first = Premises(tmp_path)
    with pytest.raises(PremisesError, match="another mailward"):
        Premises(tmp_path)
    first.leave()
    Premises(tmp_path).leave()


SHARED = """
[store]
path = "{folder}/shared.db"
"""


def test_two_daemons_never_share_a_store_though_each_has_a_data_directory(tmp_path: Path) -> None:
    text = SHARED.format(folder=tmp_path)
    (tmp_path / "other").mkdir()
    (tmp_path / "c.toml").write_text(text)
    second = [*SERVE, "--config", str(tmp_path / "c.toml"), "--data", str(tmp_path / "other")]
    with daemon(tmp_path, text) as first:
        for more in ([], ["--check"]):
            refused = subprocess.run(
                [*second, *more], capture_output=True, text=True, timeout=30, check=False
            )
            assert refused.returncode == 1  # the first may end: it can be tried again
            assert (
                f"store.path: {tmp_path}/shared.db: another mailward (process {first.pid}) uses it;"
                " stop that one, or set store.path\n"
            ) in refused.stderr
    assert not subprocess.run([*second, "--check"], capture_output=True, check=False).returncode


def test_two_daemons_never_share_the_mail_of_the_embedded_server(tmp_path: Path) -> None:
    text = EMBEDDED + f'[backend.embedded]\npath = "{tmp_path}/mail"\n'
    (tmp_path / "other").mkdir()
    with daemon(tmp_path, text), daemon(tmp_path / "other", text):
        said = status(tmp_path / "other")
    assert "the built-in mail server ended with exit status 78" in said
    assert "uses it" in said


def test_a_socket_left_by_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    premises = Premises(tmp_path)
    premises.open_socket("s").close()
    assert (tmp_path / "s").is_socket()
    listening = premises.open_socket("s")
    assert (tmp_path / "s").stat().st_mode & 0o777 == 0o600
    with pytest.raises(PremisesError, match="another daemon answers"):
        premises.open_socket("s")
    listening.close()
    premises.leave()


EMBEDDED = """
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:0"]
backend = "embedded"
"""


def test_without_what_the_embedded_server_needs_the_daemon_says_what_to_install(
    tmp_path: Path,
) -> None:
    file = tmp_path / "config.toml"
    file.write_text(EMBEDDED)
    without = "import sys; sys.modules['mailward_mailbox'] = None"
    run = f"{without}; from mailward.app.cli.main import main; sys.exit(main())"
    serve = [sys.executable, "-c", run, *SERVE[-1:]]
    done = subprocess.run(
        [*serve, "--config", str(file), "--data", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 78
    assert "install mailward[embedded]" in done.stderr
    assert "Traceback" not in done.stderr


def test_accounts_that_cannot_be_read_are_an_outage_that_status_tells(tmp_path: Path) -> None:
    (tmp_path / "embedded").mkdir()
    (tmp_path / "embedded" / "accounts.db").write_bytes(b"no database" * 1000)
    with daemon(tmp_path, EMBEDDED):
        said = status(tmp_path)
    assert "the built-in mail server ended with exit status 78" in said
    assert "accounts.db" in said
    assert "cannot connect to unix:" in said


def status(folder: Path) -> str:
    """What `mailward status` says of the daemon with its data in *folder*."""
    command = [sys.executable, "-m", "mailward.app.cli.main", "--data", str(folder), "status"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    return done.stdout + done.stderr


def test_a_daemon_without_the_embedded_server_loads_nothing_of_it() -> None:
    program = (
        "import sys, mailward.app.daemon;"
        " parts = ('pymap', 'passlib', 'mailward_mailbox');"
        " sys.exit(any(name.startswith(parts) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
