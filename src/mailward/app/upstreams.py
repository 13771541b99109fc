"""The backends as they are asked: with the paths where their files and sockets are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from mailward.settings.configuration import Configuration, EmbeddedSettings
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.settings.embedded import embedded_upstream
from mailward.settings.upstreams import Spoken


def placed_upstreams(configuration: Configuration, data: Path) -> Mapping[str, UpstreamSettings]:
    """The backends with their relative paths put into the *data* directory."""
    return {
        name: replace(
            settings,
            tls=replace(settings.tls, ca=_placed(settings.tls.ca, data)),
            path=_placed(settings.path, data),
        )
        for name, settings in configuration.upstreams.items()
    }


def placed_mailbox(embedded: EmbeddedSettings, spoken: Spoken, data: Path) -> UpstreamSettings:
    """The built-in mail server as a backend, its socket below the *data* directory."""
    settings = embedded_upstream(embedded, spoken)
    return replace(settings, path=_placed(settings.path, data))


def _placed(path: str | None, data: Path) -> str | None:
    return None if path is None else str(data / path)
