"""Moments of time."""

from __future__ import annotations

from typing import NewType

Instant = NewType("Instant", float)
"""Seconds since 1970-01-01T00:00:00Z."""
