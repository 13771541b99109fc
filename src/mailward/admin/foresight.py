"""What a reload would refuse, told when a key is stored or deleted and not only then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from mailward.admin.loaded import Loaded
from mailward.rules.model import Instant
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import Entry
from mailward.settings.errors import Fault, SettingsError

Lacking = Callable[[Configuration], Sequence[Fault]]
"""What a configuration refers to outside of itself, and is not there: a certificate's file, say."""


def refusals(
    loaded: Loaded, read: Callable[[], dict[str, Entry]], lacking: Lacking, now: Instant
) -> Sequence[Fault]:
    """Everything a reload would refuse at *now*. It takes as long as one: call it in a thread."""
    try:
        entries: Mapping[str, Entry] = read()
    except SettingsError as error:
        return error.faults
    built = loaded.build(entries, now)
    return tuple(dict.fromkeys((*built.file_faults, *built.stored_faults, *lacking(built.draft))))


def warning(faults: Sequence[Fault], key: str) -> str:
    """What is said of *faults* to somebody who has changed *key*; nothing where there are none.

    Those about the same listener, backend or certificate come first.
    """
    if not faults:
        return ""
    stem = key.rpartition(".")[0]
    first, *others = sorted(faults, key=lambda fault: not _is_near(fault.key or "", key, stem))
    more = f" (and {len(others)} more)" if others else ""
    return f" As things stand reload-config would be refused: {first}{more}."


def _is_near(fault: str, key: str, stem: str) -> bool:
    return fault in {key, stem} or fault.startswith(f"{stem}.")
