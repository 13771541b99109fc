"""The backends: each made for what it is spoken to in, and told where its files and sockets are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from mailward.backends.jmap import JmapUpstream
from mailward.backends.passage import PassageUpstream
from mailward.backends.upstream import Upstream
from mailward.settings.configuration import (
    EMBEDDED,
    Configuration,
    EmbeddedSettings,
    Passage,
    Protocol,
    Web,
)
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.settings.embedded import PATHS, embedded_upstream
from mailward.settings.upstreams import Spoken

AnyUpstream = Upstream | PassageUpstream | JmapUpstream
MAILBOX_PROBE_SECONDS = 30.0  # it offers less when accounts are added that can do less


def make_upstream(
    settings: UpstreamSettings,
    spoken: Spoken,
    offer: Sequence[str],
    remember: Callable[[Sequence[str]], None],
) -> AnyUpstream:
    """The backend of *settings*; *offer* is what is known of it, *remember* takes what is new."""
    upstream: AnyUpstream
    match spoken:
        case Protocol():
            upstream = Upstream(settings, spoken, offer, remember)
        case Passage():
            upstream = PassageUpstream(settings, spoken, offer, remember)
        case Web.JMAP:
            known = PATHS if settings.name == EMBEDDED else ()
            upstream = JmapUpstream(settings, (*known, *offer), remember)
    if settings.name == EMBEDDED:
        upstream.probe_again_seconds = MAILBOX_PROBE_SECONDS
    return upstream


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
