"""What the process may take of the machine, set by itself before it reads anything."""

from __future__ import annotations

import ctypes
import resource
from contextlib import suppress
from pathlib import Path

MAX_MEMORY_OCTETS = 1_610_612_736
"""Of address space (RLIMIT_AS): all that is bounded, and the stacks of the threads."""
OOM_SCORE = 500
"""Where memory runs out, this process ends before the front door does (proc(5))."""
_MAX_DESCRIPTORS = 8_192
_M_MMAP_THRESHOLD = -3
_MAX_KEPT_OCTETS = 1_048_576


def confine() -> None:
    """Limit the address space, leave no core file with mail in it, and be ended before others."""
    _lower(resource.RLIMIT_AS, MAX_MEMORY_OCTETS)
    _lower(resource.RLIMIT_CORE, 0)
    with suppress(OSError):  # another system than Linux, or a sandbox without /proc
        Path("/proc/self/oom_score_adj").write_text(f"{OOM_SCORE}\n", encoding="ascii")


def raise_descriptor_limit() -> None:
    """Allow as many open files as the connections need, as far as the system lets us."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_MAX_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def give_memory_back() -> None:
    """Let the C library return long blocks to the system when they are freed (mallopt(3)).

    By itself it keeps what messages of 25 MB took, up to 32 MB for each thread.
    """
    with suppress(OSError, AttributeError):  # another C library than glibc
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, _MAX_KEPT_OCTETS)


def _lower(kind: int, at_most: int) -> None:
    """Let soft and hard limit be *at_most*, or what they are where that is less."""
    _, hard = resource.getrlimit(kind)
    limit = at_most if hard == resource.RLIM_INFINITY else min(at_most, hard)
    resource.setrlimit(kind, (limit, limit))
