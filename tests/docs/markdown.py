"""As much of Markdown as it takes to hold our pages right."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"

_FENCED = re.compile(
    r"^```(?P<language>\w*)(?: title=\"(?P<title>[^\"]*)\")?\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """What stands between fences; *title* is the file that it is a part of."""

    language: str
    title: str
    text: str


def blocks(page: str) -> Iterator[Block]:
    for found in _FENCED.finditer(page):
        yield Block(found["language"], found["title"] or "", found["text"])


def prose(page: str) -> str:
    """*page* without its blocks."""
    return _FENCED.sub("", page)


def links(page: str) -> list[str]:
    """Where the links and the pictures of *page* lead."""
    return _LINK.findall(prose(page))


def headings(page: str) -> Iterator[str]:
    return (found[1] for found in _HEADING.finditer(prose(page)))


def anchors(page: str) -> set[str]:
    """How the headings of *page* are called in a link.

    >>> anchors("# In front of `x|y`, a")
    {'in-front-of-xy-a'}
    """
    return {
        re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
        for heading in headings(page)
    }
