"""What a process takes of the machine, read from /proc: processor time and memory.

Processor time is exact to the nanosecond (schedstat), where `ps` counts ticks of 10 ms.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from tests.real.processes import Child


def cpu_seconds(child: Child) -> float:
    """Processor time of *child* and all that live in its group, since each of them began."""
    return sum(map(cpu_seconds_of, child.members()))


def cpu_seconds_of(pid: int) -> float:
    """Processor time of all living threads of *pid*; 0 where it has ended."""
    total = 0
    for task in _listed(Path(f"/proc/{pid}/task")):
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except (OSError, IndexError):
            continue  # the thread has just ended
    return total / 1e9


def rss_octets(child: Child) -> int:
    """Resident memory of the whole group; pages that are shared count once for each process."""
    return sum(_status_octets(pid, "VmRSS:") for pid in child.members())


def pss_octets(child: Child) -> int:
    """Memory of the whole group; pages that are shared count in shares."""
    return sum(_pss_octets(pid) for pid in child.members())


def peak_octets(pid: int) -> int:
    """The most memory that was ever resident of *pid*."""
    return _status_octets(pid, "VmHWM:")


def descriptors(pid: int) -> int:
    return len(list(_listed(Path(f"/proc/{pid}/fd"))))


def _pss_octets(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.partition("\nPss:")[2].split()[0]) * 1024


def _status_octets(pid: int, name: str) -> int:
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return int(text.partition(name)[2].split()[0]) * 1024


def _listed(folder: Path) -> Iterable[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return ()
