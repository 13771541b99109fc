"""mailward: brute-force protection built into a mail server's front door."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailward.client.asynchronous import AsyncReportClient
    from mailward.client.sync import ReportClient

VERSION = "0.1.0"

__all__ = ["VERSION", "AsyncReportClient", "ReportClient"]


def __getattr__(name: str) -> object:
    """The clients, loaded when somebody wants one: the daemon and its commands need none."""
    if name not in {"ReportClient", "AsyncReportClient"}:
        raise AttributeError(f'module "mailward" has no attribute "{name}"')
    from mailward.client import asynchronous  # noqa: PLC0415 -- see above

    return getattr(asynchronous, name)
