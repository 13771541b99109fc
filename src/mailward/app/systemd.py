"""What a service manager wants to hear (sd_notify(3)), and nothing where there is none."""

from __future__ import annotations

import os
import socket


def notify(state: str) -> None:
    """Send *state*, ``READY=1`` say, to the service manager that started this process."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            out.sendto(state.encode(), address)
        except OSError:
            return  # a service manager that does not listen is no reason to stop
