"""The tables of docs/reference, made from the code, and of docs/performance.md, from figures.

    python -m tests.docs.tables      # writes them into the pages anew: `make docs-reference`

A table stands between two comments, which no reader sees: ``<!-- table: NAME WORD... -->`` and
``<!-- end -->``. The words are for its maker. All else in the pages is written by hand.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from bench.harness.figures import Line
from bench.table import ROWS, cells, lines_of
from mailward.admin.metrics import METRICS
from mailward.app.cli.grammar import make_parser
from mailward.app.cli.printed.shape import Option, shape_of
from mailward.settings.key import Key
from mailward.settings.schema import SCHEMA
from tests.admin.house import open_house

ROOT = Path(__file__).parents[2]
PAGES = ROOT / "docs" / "reference"
FIGURES = ROOT / "bench" / "results" / "full"
_TABLE = re.compile(
    r"(?P<begin><!-- table: (?P<name>\w+)(?P<words>[^\n]*) -->\n).*?(?P<end><!-- end -->)",
    re.DOTALL,
)
Row = Sequence[str]


def pages() -> list[Path]:
    return [*sorted(PAGES.glob("*.md")), PAGES.parent / "performance.md"]


def filled(page: str) -> str:
    """*page* with all its tables as the code has them."""
    stems = [
        stem
        for found in _TABLE.finditer(page)
        if found["name"] == "keys"
        for stem in found["words"].split()
    ]

    def table(found: re.Match[str]) -> str:
        match found["name"]:
            case "keys":
                rows = keys(stems, found["words"].split())
            case "measured":
                rows = measured(found["words"].strip())
            case name:
                rows = _MAKERS[name]()
        return f"{found['begin']}\n{printed(rows)}\n{found['end']}"

    return _TABLE.sub(table, page)


def printed(rows: Iterable[Row]) -> str:
    """*rows* as Markdown; the first one is the head."""
    head, *others = rows
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in r] for r in others)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


# -- keys ------------------------------------------------------------------------------------------


def keys(stems: Sequence[str], mine: Sequence[str]) -> Iterator[Row]:
    """The keys whose longest beginning among *stems* is one of *mine*."""
    yield ("key", "takes", "default", "changes are", "what it is")
    for key in SCHEMA:
        beginnings = [stem for stem in stems if key.pattern.startswith(stem)]
        if beginnings and max(beginnings, key=len) in mine:
            yield key_row(key)


def key_row(key: Key[object]) -> Row:
    default = "unset" if key.default is None else f"`{key.default}`"
    return (f"`{key.pattern}`", key.takes, default, key.effect.value, key.help)


# -- commands --------------------------------------------------------------------------------------


def commands() -> Iterator[Row]:
    yield ("command", "does")
    for command in shape_of(make_parser()).all():
        if command.words and not command.below:
            yield (f"`mailward {' '.join(command.words)}`", command.does)


def options() -> Iterator[Row]:
    """What every command takes, if it can do anything with it."""
    yield ("option", "is")
    for option in shape_of(make_parser()).options:
        yield (", ".join(f"`{form}`" for form in forms(option)), option.help)


def forms(option: Option) -> Iterator[str]:
    """How it is written: the long name first."""
    for name in reversed(option.names):
        yield f"{name} {option.metavar}".rstrip()


# -- routes ----------------------------------------------------------------------------------------


def described() -> Mapping[str, Any]:
    """What `GET /api/openapi.json` answers."""
    with TemporaryDirectory() as folder, open_house(Path(folder)) as house:
        body: Mapping[str, Any] = house.ask("GET", "/api/openapi.json").body
    return body


def routes() -> Iterator[Row]:
    yield ("route", "does", "takes", "answers")
    for path, methods in described()["paths"].items():
        for method, operation in methods.items():
            takes = ", ".join([*queries(operation), *body(operation)])
            yield (
                f"`{method.upper()} {path}`",
                operation["summary"],
                takes,
                ", ".join(answers(operation)),
            )
    yield ("`GET /api/openapi.json`", "all of this, with all shapes, as OpenAPI 3.1", "", "")


def queries(operation: Mapping[str, Any]) -> Iterator[str]:
    for parameter in operation["parameters"]:
        if parameter["in"] == "query":
            schema = parameter["schema"]
            bounds = f" {schema['minimum']} to {schema['maximum']}" if "maximum" in schema else ""
            choices = " or ".join(f"`{choice}`" for choice in schema.get("enum", ()))
            yield f"`?{parameter['name']}=`{bounds}{choices and ' '}{choices}"


def body(operation: Mapping[str, Any]) -> Iterator[str]:
    if "requestBody" in operation:
        yield from names(operation["requestBody"]["content"]["application/json"]["schema"])


def answers(operation: Mapping[str, Any]) -> Iterator[str]:
    for kind, content in operation["responses"]["200"]["content"].items():
        if kind == "application/json":
            yield from names(content["schema"])
        else:
            yield kind


def names(schema: Mapping[str, Any]) -> Iterator[str]:
    """The fields of an object, of each form that it may have, or of each part that it has."""
    if schema.get("type") == "array":
        yield "a list of pairs"
        return
    forms = schema.get("oneOf") or schema.get("allOf") or (schema,)
    known = [name for form in forms for name in form["properties"]]
    yield from (f"`{name}`" for name in dict.fromkeys(known))


# -- metrics ---------------------------------------------------------------------------------------


def metrics() -> Iterator[Row]:
    yield ("metric", "type", "labels", "is")
    for metric in METRICS:
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        yield (f"`{metric.name}`", metric.kind.value, labels, metric.help)


# -- measurements ----------------------------------------------------------------------------------


def measured(script: str) -> Iterator[Row]:
    """What *script* measured in the full run."""
    yield ("work", "mailward", "beside", "ratio", "goal", "met")
    for line in lines_of(FIGURES, script):
        _, work, ours, peer, ratio, goal, met = cells(line)
        yield (work, ours, peer, ratio, goal, f"**{met}**" if "NO" in met else met)


def missed() -> Iterator[Row]:
    """Every goal that was not reached, or not measured."""
    yield ("row", "work", "mailward", "beside", "ratio", "goal")
    for script in ROWS:
        yield from (_without_met(line) for line in lines_of(FIGURES, script) if line.is_missed)


def _without_met(line: Line) -> Row:
    return cells(line)[:-1]


def machine() -> Iterator[Row]:
    """Where, when and with what the full run was made."""
    yield ("what", "which")
    runs = [json.loads((FIGURES / f"{script}.json").read_text()) for script in ROWS]
    yield ("from, to", f"{min(run['date'] for run in runs)}, {max(run['date'] for run in runs)}")
    yield ("commits", ", ".join(sorted({run["commit"] for run in runs})))
    for name, value in runs[0]["machine"].items():
        if name != "load":
            yield (name.replace("_mb", ", MB"), f"{value}")
    yield from runs[0]["versions"].items()


_MAKERS: Mapping[str, Callable[[], Iterator[Row]]] = {
    "commands": commands,
    "options": options,
    "routes": routes,
    "metrics": metrics,
    "missed": missed,
    "machine": machine,
}


def main() -> int:
    for path in pages():
        path.write_text(filled(path.read_text()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
