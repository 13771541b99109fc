"""``make install`` and the service, under a real systemd."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailward import VERSION
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME
from tests.real.machine import Machine, machine, why_not
from tests.real.processes import eventually, private_folder

SOURCES = Path(__file__).parents[2]
CLONED = (
    "Makefile",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    "requirements",
    "packaging",
    "src",
    "mailbox",
)
# There is no network in the machine: all that pip asks for was brought.
PIP = ("env", "PIP_NO_INDEX=1", "PIP_FIND_LINKS=/mnt/brought/wheels")
PYTHON = "/usr/bin/python3"  # another may be in a home directory, where no service looks
INSTALL = (*PIP, "make", "-C", "/mnt/brought", "install", f"PYTHON={PYTHON}")
PACKAGED = "/opt/mailward"
STAGE = "/var/stage"
CONFIG = "/etc/mailward/config.toml"
UNIT = "/usr/local/lib/systemd/system/mailward.service"
SECRET = "opensesame"
MOST_EXPOSED = 2.0  # of 10, as systemd-analyze counts; most services of Debian have over 9

FOUR_DOORS = """\
[server.security]
fail2ban = "3/1h"

[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:143"]
backend = "dovecot"

[server.listener.imaps]
protocol = "imap"
bind = ["127.0.0.1:993"]
backend = "dovecot"
tls.implicit = true

[server.listener.operators]
protocol = "manage"
bind = ["127.0.0.1:443"]
tls.implicit = true

[backend.dovecot]
address = "localhost:10143"

[certificate.default]
cert = "/etc/mailward/fullchain.pem"
private-key = "/etc/mailward/privkey.pem"

[management.admin]
secret = "{hash}"
"""


EMBEDDED = """\
[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:143"]
backend = "embedded"
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Machine]:
    """A machine on which mailward was installed from a clean clone, without a network."""
    with private_folder() as folder:
        if why := why_not(folder):
            pytest.skip(f"no machine can be made inside this one, so run this on another: {why}")
        brought = folder / "brought"
        brought.mkdir()
        for name in CLONED:
            copy = shutil.copytree if (SOURCES / name).is_dir() else shutil.copy
            copy(SOURCES / name, brought / name)
        bring_wheels(brought / "wheels", folder / "pip")
        make_certificate(brought)
        with machine(folder, brought) as made:
            said = made.run(*INSTALL)
            assert "systemctl enable --now mailward" in said
            yield made


def bring_wheels(folder: Path, environment: Path) -> None:
    """Put what ``make install`` needs into *folder*, for the Python that it installs with."""
    subprocess.run([PYTHON, "-m", "venv", str(environment)], check=True)
    command = (
        *(str(environment / "bin" / "pip"), "--disable-pip-version-check", "download", "-q"),
        *("--require-hashes", "--no-deps", "--only-binary=:all:", "-d", str(folder)),
        *("-r", str(SOURCES / "requirements" / "build.txt")),
        *("-r", str(SOURCES / "requirements" / "run.txt")),
        *("-r", str(SOURCES / "requirements" / "embedded.txt")),
    )
    subprocess.run(command, check=True)


def make_certificate(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "mailward.app.selfsigned", str(folder)], check=True)


@pytest.fixture
def service(server: Machine) -> Iterator[Machine]:
    """The service, started with four doors; its journal is that of this test."""
    hashed = server.run("sh", "-c", f"echo {SECRET} | mailward hash-password").strip()
    for name, made in (("fullchain.pem", CERTIFICATE_NAME), ("privkey.pem", KEY_NAME)):
        copy = ("install", "-m", "640", "-g", "mailward")
        server.run(*copy, f"/mnt/brought/{made}", f"/etc/mailward/{name}")
    server.write(CONFIG, FOUR_DOORS.format(hash=hashed))
    server.run("journalctl", "--rotate", "--vacuum-time=1s")
    server.run("systemctl", "start", "mailward")
    yield server
    server.run("systemctl", "stop", "mailward")
    server.run("systemctl", "reset-failed", "mailward", status=None)


def shown(server: Machine, name: str) -> str:
    """A property of the service."""
    return server.run("systemctl", "show", "-P", name, "mailward").strip()


def journal(server: Machine) -> str:
    return server.run("journalctl", "-u", "mailward", "-o", "cat", "--no-pager")


def test_as_installed_it_runs_and_listens_nowhere(server: Machine) -> None:
    assert server.run("stat", "-c", "%U:%G %a", CONFIG) == "root:mailward 640\n"
    server.run("mailward", "serve", "--check")
    server.run("systemctl", "enable", "--now", "mailward")
    assert shown(server, "StatusText") == "Addresses listened on: 0. Bans in force: 0."
    assert json.loads(server.run("mailward", "status", "--json"))["doors"] == []
    server.run("systemctl", "stop", "mailward")
    assert "no listener is configured" in journal(server)


def status_of(server: Machine, pid: str) -> dict[str, str]:
    """What the kernel tells of a process."""
    lines = server.run("cat", f"/proc/{pid}/status").splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


def test_it_opens_low_ports_and_has_no_other_right(service: Machine) -> None:
    assert "mailward ready" in service.run(
        "bash", "-c", "exec 3<>/dev/tcp/127.0.0.1/143; head -n1 <&3"
    )
    status = status_of(service, shown(service, "MainPID"))
    only_low_ports = f"{1 << 10:016x}"  # CAP_NET_BIND_SERVICE
    for kind in ("CapInh", "CapPrm", "CapEff", "CapBnd"):
        assert status[kind] == only_low_ports
    assert int(status["CapAmb"], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert "0" not in status["Uid"].split()
    assert shown(service, "User") == "mailward"
    assert service.run("stat", "-c", "%U %a", "/var/lib/mailward") == "mailward 700\n"


def test_the_built_in_mail_server_bears_the_sandbox_and_has_no_right_at_all(
    service: Machine,
) -> None:
    service.write(CONFIG, EMBEDDED)
    service.run("systemctl", "restart", "mailward")
    added = "echo opensesame | mailward accounts add alice --password-stdin"
    service.run("sh", "-c", added)
    login = (
        "exec 3<>/dev/tcp/127.0.0.1/143; printf 'a login alice opensesame\\r\\n' >&3; head -n2 <&3"
    )
    assert "a OK" in service.run("bash", "-c", login)
    child = service.run("pgrep", "-f", "mailward_mailbox serve").strip()
    status = status_of(service, child)
    for kind in ("CapPrm", "CapEff", "CapAmb"):
        assert int(status[kind], 16) == 0
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert service.run("cat", f"/proc/{child}/oom_score_adj") == "500\n"
    assert b"NOTIFY_SOCKET" not in service.run("cat", f"/proc/{child}/environ").encode()
    main = shown(service, "MainPID")
    service.run("kill", "-KILL", child)
    eventually(
        lambda: (
            service.run("pgrep", "-f", "mailward_mailbox serve", status=None).strip()
            not in {"", child}
        ),
        "it is started again",
    )
    assert shown(service, "MainPID") == main
    assert (shown(service, "OOMPolicy"), shown(service, "KillMode")) == ("continue", "mixed")
    service.run("systemctl", "stop", "mailward")
    assert service.run("pgrep", "-f", "mailward_mailbox serve", status=1) == ""
    assert shown(service, "Result") == "success"


def test_it_can_write_its_data_and_nothing_else(service: Machine) -> None:
    # Even root cannot, where the service is.
    there = ("nsenter", "-t", shown(service, "MainPID"), "-m")
    for place in ("/etc/mailward", "/usr/local/lib/mailward", "/var/lib", "/home", "/root"):
        service.run(*there, "touch", f"{place}/new", status=1)
    service.run(*there, "touch", "/var/lib/mailward/new")
    assert service.run(*there, "find", "/home", "/root", "-mindepth", "1") == ""
    service.run("mailward", "ban", "192.0.2.1")
    service.run("systemctl", "restart", "mailward")
    assert "192.0.2.1" in service.run("mailward", "bans")
    assert shown(service, "StatusText") == "Addresses listened on: 3. Bans in force: 1."
    service.run("mailward", "lift", "192.0.2.1")


def test_handshakes_and_hashes_bear_the_sandbox(service: Machine) -> None:
    asked = ("mailward", "--url", "https://localhost", "--ca", "/etc/mailward/fullchain.pem")
    assert VERSION in service.run(*asked, "--credentials", f"admin:{SECRET}", "status")
    service.run(*asked, "--credentials", "admin:wrong", "status", status=1)
    said = journal(service)
    assert "auth.failed service=manage" in said
    assert SECRET not in said


def test_reload_takes_the_new_and_refuses_the_wrong_with_its_reasons(service: Machine) -> None:
    file = service.run("cat", CONFIG)
    service.write(CONFIG, file.replace("127.0.0.1:143", "127.0.0.1:110"))
    service.run("systemctl", "reload", "mailward")
    assert "127.0.0.1:110" in service.run("mailward", "status")
    main = shown(service, "MainPID")
    service.write(CONFIG, file.replace("3/1h", "often"))
    service.run("systemctl", "reload", "mailward", status=1)
    assert 'config.toml:2: server.security.fail2ban: "often" is no limit' in journal(service)
    service.run("chmod", "600", "/etc/mailward/privkey.pem")
    service.write(CONFIG, file)
    service.run("systemctl", "reload", "mailward", status=1)
    assert "privkey.pem cannot be read: Permission denied" in journal(service)
    assert (shown(service, "MainPID"), shown(service, "ActiveState")) == (main, "active")


def test_a_wrong_configuration_is_not_tried_again(service: Machine) -> None:
    service.run("systemctl", "stop", "mailward")
    service.write(CONFIG, "wrong = 1\n")
    service.run("systemctl", "start", "mailward", status=1)
    assert shown(service, "ExecMainStatus") == "78"
    assert shown(service, "ActiveState") == "failed"


def test_a_missing_certificate_is_not_tried_again(service: Machine) -> None:
    service.run("systemctl", "stop", "mailward")
    service.run("mv", "/etc/mailward/privkey.pem", "/etc/mailward/away.pem")
    service.run("systemctl", "start", "mailward", status=1)
    assert shown(service, "ExecMainStatus") == "78"
    assert shown(service, "ActiveState") == "failed"
    assert "/etc/mailward/privkey.pem" in journal(service)


def test_what_cannot_start_yet_is_tried_again(service: Machine) -> None:
    service.run("systemctl", "stop", "mailward")
    # Another program has the port, and ends later.
    holds = (
        "import socket, signal; taken = socket.create_server(('127.0.0.1', 143)); signal.pause()"
    )
    service.run("systemd-run", "--unit=holder", "python3", "-c", holds)
    eventually(lambda: "LISTEN" in service.run("ss", "-Htln", "sport = :143"), "the port is taken")
    service.run("systemctl", "start", "mailward", status=1)
    assert shown(service, "ActiveState") == "activating"
    service.run("systemctl", "stop", "holder")
    eventually(lambda: shown(service, "ActiveState") == "active", "it has come up")


def test_a_hanging_daemon_is_ended_by_the_watchdog_and_comes_back(service: Machine) -> None:
    service.run("mkdir", "-p", "/run/systemd/system/mailward.service.d")
    service.write("/run/systemd/system/mailward.service.d/soon.conf", "[Service]\nWatchdogSec=2s\n")
    service.run("systemctl", "daemon-reload")
    service.run("systemctl", "restart", "mailward")
    first = shown(service, "MainPID")
    service.run("kill", "-STOP", first)
    eventually(
        lambda: shown(service, "MainPID") not in {first, "0"}, "another one", within_seconds=30
    )
    eventually(lambda: shown(service, "ActiveState") == "active", "it has come up")
    assert "most recent call first" in journal(service)  # where it hung


def test_it_stops_in_time_though_somebody_is_connected(service: Machine) -> None:
    waits = "exec 3<>/dev/tcp/127.0.0.1/143; head -n1 <&3; cat <&3"
    stopped = service.run("bash", "-c", f"({waits}) & systemctl stop mailward; wait")
    assert "BYE" in stopped
    assert (shown(service, "Result"), shown(service, "ActiveState")) == ("success", "inactive")


def test_the_unit_is_right_and_little_exposed(server: Machine) -> None:
    assert server.run("systemd-analyze", "verify", UNIT) == ""
    said = server.run("systemd-analyze", "security", "--offline=true", UNIT)
    (score,) = re.findall(r"Overall exposure level for mailward.service: ([0-9.]+)", said)
    assert float(score) <= MOST_EXPOSED


def test_the_manual_and_the_completions_are_found(server: Machine) -> None:
    assert server.run("man", "-w", "mailward") == "/usr/local/man/man1/mailward.1\n"
    offered = server.run("fish", "-c", "complete -C 'mailward server reload-c'")
    assert [line.split("\t")[0] for line in offered.splitlines()] == [
        "reload-certificates",
        "reload-config",
    ]
    assert server.run("zsh", "-fc", "autoload -Uz _mailward; whence -v _mailward").startswith(
        "_mailward is an autoload shell function"
    )


def test_installed_again_it_leaves_the_configuration_alone(server: Machine) -> None:
    server.write(CONFIG, "# mine\n")
    server.run(*INSTALL)
    assert server.run("cat", CONFIG) == "# mine\n"
    assert "fail2ban" in server.run("cat", f"{CONFIG}.example")
    assert server.run("mailward", "--version") == f"mailward {VERSION}\n"


def test_a_package_is_staged_without_a_trace_of_the_stage(server: Machine) -> None:
    server.run(*INSTALL, f"PREFIX={PACKAGED}", f"DESTDIR={STAGE}")
    assert server.run("grep", "-rl", STAGE, STAGE, status=None) == ""
    unit = server.run("cat", f"{STAGE}/etc/systemd/system/mailward.service")
    assert f"ExecStart={PACKAGED}/bin/mailward serve\n" in unit
    server.run("mv", f"{STAGE}{PACKAGED}", PACKAGED)
    assert server.run(f"{PACKAGED}/bin/mailward", "--version") == f"mailward {VERSION}\n"
    assert "--listen-imap" in server.run(f"{PACKAGED}/bin/mailward-mailbox", "serve", "--help")


def test_uninstalled_it_leaves_what_operators_wrote_and_its_data(server: Machine) -> None:
    server.run("systemctl", "start", "mailward", status=None)
    server.run("make", "-C", "/mnt/brought", "uninstall")
    assert server.run("systemctl", "is-active", "mailward", status=None) == "inactive\n"
    for place in ("bin", "lib", "share"):
        assert server.run("find", f"/usr/local/{place}", "-name", "*mailward*") == ""
    server.run("test", "-e", CONFIG)
    server.run("test", "-e", "/var/lib/mailward/mailward.db")
