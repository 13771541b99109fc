"""A machine inside this one: a systemd of its own as process 1, in namespaces of its own.

It sees the files of this machine, and whatever it writes is gone with it. Its network is a loopback
that nobody else has.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.real.processes import Child, eventually

_ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root"}
_NAMESPACES = ("--mount", "--pid", "--ipc", "--uts", "--net", "--fork", "--kill-child")

# $1: a folder for what the machine needs. It is over when its process 1 is.
_BOOT = """\
set -e
mount --make-rprivate /
mount -t tmpfs machine "$1"
cd "$1"
mkdir up work root groups
mount -t cgroup2 cgroup2 groups
mkdir "groups/$2"
echo $$ >"groups/$2/cgroup.procs"
umount groups
exec unshare --cgroup sh -c '
  set -e
  mount -t overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" root root
  cd root
  mount -t proc proc proc
  mount -t sysfs sysfs sys
  mount -t cgroup2 cgroup2 sys/fs/cgroup
  mount -t tmpfs run run
  mount -t tmpfs tmp tmp
  mount --rbind /dev dev
  echo 0123456789abcdef0123456789abcdef >etc/machine-id
  printf "%s\\n" "[Unit]" DefaultDependencies=no Wants=systemd-journald.service \\
    After=systemd-journald.service >etc/systemd/system/bare.target
  rm -rf etc/mailward var/lib/mailward
  ip link set lo up
  mkdir mnt/brought tmp/outside
  mount --bind "$3" mnt/brought
  mount -o remount,bind,ro mnt/brought
  pivot_root . tmp/outside
  umount -l tmp/outside
  exec env -i PATH="$PATH" container=other /lib/systemd/systemd --unit=bare.target
' sh "$@"
"""
_BURY = """\
mount --make-rprivate /
mount -t cgroup2 cgroup2 "$1"
if [ -e "$1/$2" ]; then find "$1/$2" -depth -type d -exec rmdir {} +; fi
"""


_TRY = """\
set -e
mount --make-rprivate /
mount -t tmpfs machine "$1"
cd "$1"
mkdir up work root groups
mount -t cgroup2 cgroup2 groups
mkdir "groups/$2"
rmdir "groups/$2"
mount -t overlay -o "lowerdir=/,upperdir=$1/up,workdir=$1/work" root root
"""


def why_not(folder: Path) -> str:
    """What keeps this machine from holding another one, in its own words; empty if nothing does.

    A container may not be allowed to mount anything, even as root.
    """
    name = f"mailward-try-{os.getpid()}"
    words = ("unshare", *_NAMESPACES, "sh", "-c", _TRY, "sh", str(folder), name)
    return subprocess.run(words, check=False, capture_output=True, text=True).stderr.strip()


class Machine:
    """The machine that is up; *first* is its process 1, as this machine counts."""

    def __init__(self, first: int) -> None:
        self._first = first

    def run(self, *command: str, status: int | None = 0) -> str:
        """All that *command* prints in there. It must end with *status*, if one is given."""
        done = subprocess.run(
            ["nsenter", "-t", str(self._first), "-m", "-p", "-n", "-i", "-u", "-C", *command],  # noqa: S607 -- from Debian
            capture_output=True,
            text=True,
            check=False,
            env=_ENVIRONMENT,
        )
        if status is not None:
            assert done.returncode == status, f"{command}: {done.returncode}\n{done.stderr}"
        return done.stdout + done.stderr

    def write(self, path: str, text: str) -> None:
        """Write a file in there, as an editor does: its owner and mode stay."""
        Path(f"/proc/{self._first}/root{path}").write_text(text)

    def is_up(self) -> bool:
        return self.run("systemctl", "is-active", "bare.target", status=None) == "active\n"


@contextlib.contextmanager
def machine(folder: Path, brought: Path) -> Iterator[Machine]:
    """A machine that can read *brought* at /mnt/brought, for as long as it is needed."""
    inner = folder / "machine"
    inner.mkdir()
    name = f"mailward-{os.getpid()}"
    child = Child(
        ["unshare", *_NAMESPACES, "sh", "-c", _BOOT, "sh", inner, name, brought],
        output=folder / "machine.log",
        folder=folder,
    )
    try:
        eventually(lambda: _children(child.pid), "it has a process 1")
        (first,) = _children(child.pid)
        made = Machine(first)
        child.wait_until(made.is_up)
        yield made
    finally:
        # The end of a process 1 is the end of all that it sees.
        for first in _children(child.pid):
            os.kill(first, signal.SIGKILL)
        child.kill()
        eventually(lambda: _bury(inner, name), "its control groups are gone")


def _children(pid: int) -> Sequence[int]:
    try:
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return ()


def _bury(folder: Path, name: str) -> bool:
    """Remove the control groups; what is in them has a moment to end."""
    words = ("unshare", "--mount", "sh", "-c", _BURY, "sh", str(folder), name)
    return subprocess.run(words, check=False, capture_output=True).returncode == 0
