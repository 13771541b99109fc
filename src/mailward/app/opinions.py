"""Whether a second opinion can be asked about all that a backend may refuse."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence

from mailward.backends.upstream import Upstream
from mailward.settings.configuration import Configuration
from mailward.settings.configuration import Upstream as UpstreamSettings
from mailward.settings.opinions import second_opinions

LOOK_SECONDS = 5.0


def look_at_opinions(
    configuration: Configuration, upstreams: Mapping[str, UpstreamSettings]
) -> list[str]:
    """What is wrong with the second opinions of *configuration*: each backend is asked, briefly.

    *upstreams* are its backends, with the paths where their files are.
    """
    judges = second_opinions(configuration)
    if not judges:
        return []

    async def look() -> list[str]:
        asked = {
            key: Upstream(upstreams[key[0]], key[1], (), lambda _: None)
            for key in {*judges, *judges.values()}
        }
        async with asyncio.TaskGroup() as tasks:
            for server in asked.values():
                tasks.create_task(_look_at(server))
        found: list[str] = []
        for first, second in judges.items():
            if asked[second].state != "ok":
                found.append(
                    f"backend {second[0]}, the second opinion of {first[0]}, cannot be asked now:"
                    f" {asked[second].state}"
                )
            found.extend(shortcomings(asked[first], asked[second]))
        return found

    return asyncio.run(look())


def shortcomings(first: Upstream, second: Upstream) -> Iterator[str]:
    """Why *second* cannot be asked about all that *first* may refuse, as far as is known."""
    names = first.settings.name, second.settings.name
    if first.offer and second.offer:
        missing = sorted(first.mechanisms - second.mechanisms)
        if missing:
            yield _cannot(*names, missing)


def _cannot(first: str, second: str, missing: Sequence[str]) -> str:
    return (
        f"backend {first} takes {', '.join(missing)}, and its second opinion {second} does not: its"
        f" refusals of that count even in an outage; let {second} offer it (auth_mechanisms in"
        " Dovecot)"
    )


async def _look_at(server: Upstream) -> None:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await server.look()
    except TimeoutError:
        server.gave_no_answer(f"{server.settings.where} did not answer in time")
