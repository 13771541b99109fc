"""What rights this process hands down to those that it starts: none."""

from __future__ import annotations

import ctypes

_PR_CAP_AMBIENT = 47  # prctl(2)
_PR_CAP_AMBIENT_CLEAR_ALL = 4


def keep_capabilities_to_ourselves() -> None:
    """Let no program that is started from now on have a capability that this process was given.

    This process keeps it. Called before any thread begins: each has a set of its own. Where there
    is no such set there is nothing to hand down.
    """
    if prctl := getattr(ctypes.CDLL(None), "prctl", None):
        prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
