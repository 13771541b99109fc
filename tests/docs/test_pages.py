"""The pages an operator reads: links lead somewhere, and what is there to be copied is right."""

from __future__ import annotations

import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from mailward.app.cli.grammar import make_parser
from mailward.app.cli.printed.shape import shape_of
from mailward.settings.dialect import read_keys
from tests.docs.markdown import DOCS, ROOT, Block, anchors, blocks, headings, links
from tests.settings.sample import configured

PAGES = sorted(DOCS.rglob("*.md"))
FRONT = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]
GUIDES = [page for page in PAGES if page.parent == DOCS] + FRONT
IMAGES = sorted((DOCS / "images").iterdir())
# For examples (RFC 2606, RFC 6761); all else would be a place that somebody goes to.
HOSTS = re.compile(r"localhost|127\.0\.0\.1|10\.0\.0\.\d+|\w+|(.*\.)?example\.(org|com|net)")


def names(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES + FRONT, ids=names)
def test_every_link_leads_to_a_page_and_a_heading_there(page: Path) -> None:
    for link in links(page.read_text()):
        parts = urlsplit(link)
        assert not parts.scheme, link
        target = (page.parent / parts.path).resolve() if parts.path else page
        assert target.exists(), link
        assert not parts.fragment or parts.fragment in anchors(target.read_text()), link


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_pages_of_the_site_link_to_nothing_outside(page: Path) -> None:
    for link in links(page.read_text()):
        target = (page.parent / urlsplit(link).path).resolve()
        assert target.is_relative_to(DOCS), link


@pytest.mark.parametrize("page", PAGES + FRONT, ids=names)
def test_headings_have_one_anchor_wherever_they_are_shown(page: Path) -> None:
    """A code host keeps double hyphens, the site does not; and neither numbers what is unique."""
    text = page.read_text()
    assert len(anchors(text)) == len(list(headings(text)))
    assert not any("--" in anchor for anchor in anchors(text))


def test_every_page_is_in_the_site_and_every_page_of_it_is_there() -> None:
    def listed(entries: list[dict[str, Any]]) -> Iterator[str]:
        for entry in entries:
            for where in entry.values():
                yield from [where] if isinstance(where, str) else listed(where)

    site = tomllib.loads((ROOT / "zensical.toml").read_text())["project"]
    told = list(listed(site["nav"]))
    assert len(told) == len(set(told))
    assert set(told) == {str(page.relative_to(DOCS)) for page in PAGES if page.parent.name != "adr"}


@pytest.mark.parametrize("page", GUIDES, ids=names)
def test_what_a_page_says_of_our_configuration_is_one_without_faults(page: Path) -> None:
    text = "\n".join(block.text for block in blocks(page.read_text()) if block.language == "toml")
    assert configured(text) is not None


@pytest.mark.parametrize("page", PAGES, ids=names)
def test_every_piece_of_configuration_is_in_the_dialect(page: Path) -> None:
    for block in blocks(page.read_text()):
        if block.language == "toml":
            assert read_keys(block.text, page.name)


def commands(block: Block) -> Iterator[list[str]]:
    """The words of each of our own commands in *block*, as the shell would see them."""
    for line in block.text.replace("\\\n", " ").splitlines():
        words = shlex.split(line.removeprefix("$ "), comments=True)
        if words and words[0] == "mailward":
            yield words[1:]


@pytest.mark.parametrize("page", PAGES + FRONT, ids=names)
def test_every_command_is_one(page: Path) -> None:
    for block in blocks(page.read_text()):
        for words in commands(block) if block.language == "sh" else ():
            make_parser().parse_args(words)


@pytest.mark.parametrize("page", GUIDES, ids=names)
def test_every_command_in_a_line_of_text_is_one(page: Path) -> None:
    """Those that end with an argument left out name the command alone."""
    for told in re.findall(r"`mailward ([^`<]*)`", page.read_text()):
        words = shlex.split(told)
        known = {name for command in shape_of(make_parser()).all() for name in command.words}
        assert words[0].startswith("-") or words[0] in known, told


@pytest.mark.parametrize("page", PAGES + FRONT, ids=names)
def test_every_target_of_make_is_one(page: Path) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), re.MULTILINE):
        assert target in targets, target


@pytest.mark.parametrize("page", PAGES + FRONT, ids=names)
def test_no_page_names_a_place_in_the_network(page: Path) -> None:
    for host in re.findall(r"https?://(?:[^/@\s`\"']*@)?([^/:\s`\"')]+)", page.read_text()):
        assert HOSTS.fullmatch(host), host


@pytest.mark.parametrize("image", IMAGES, ids=names)
def test_no_picture_fetches_anything(image: Path) -> None:
    text = image.read_text()
    assert "@font-face" not in text
    assert set(re.findall(r"https?://[^\"<\s]*", text)) == {"http://www.w3.org/2000/svg"}


def test_every_picture_is_shown() -> None:
    shown = {(page.parent / link).resolve() for page in PAGES for link in links(page.read_text())}
    assert set(IMAGES) <= shown
