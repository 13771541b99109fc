"""Prometheus' text format, 0.0.4: what a scrape is answered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, unique

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[Mapping[str, str], float]


@unique
class Kind(Enum):
    """What a metric does: go up only, or go up and down."""

    COUNTER = "counter"
    GAUGE = "gauge"


def exposed(name: str, kind: Kind, help_: str, samples: Iterable[Sample]) -> Iterator[str]:
    """The lines of one metric; whatever stands in a label cannot break out of it.

    >>> print("\\n".join(exposed("a_total", Kind.COUNTER, "As.", [({"b": 'c"d'}, 2.0)])))
    # HELP a_total As.
    # TYPE a_total counter
    a_total{b="c\\"d"} 2
    """
    yield f"# HELP {name} {_escaped(help_)}"
    yield f"# TYPE {name} {kind.value}"
    for labels, value in samples:
        inside = ",".join(f'{label}="{_quotable(text)}"' for label, text in labels.items())
        number = int(value) if value == int(value) else value
        yield f"{name}{{{inside}}} {number}" if inside else f"{name} {number}"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _quotable(text: str) -> str:
    return _escaped(text).replace('"', r"\"")
