"""The settings in use: what the file said when it was last read, and what is stored."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from mailward.admin.names import ALLOWED_NETWORKS
from mailward.rules.addresses import AddressError, NetworkTable, parse_network
from mailward.rules.model import Instant, Network
from mailward.settings.build import Built, EffectiveKey, build, effective
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import Entry
from mailward.settings.errors import Fault


@dataclass(slots=True)
class Loaded:
    """*entries* are of the file *name*; *stored* changes while the daemon runs.

    *pending* keys were changed, but wait for a reload. *faults* are those of stored keys, which
    are not in force.
    """

    name: str | None
    entries: Mapping[str, Entry]
    stored: dict[str, str]
    configuration: Configuration | None = None
    faults: tuple[Fault, ...] = ()
    pending: dict[str, None] = field(default_factory=dict)
    _lines: dict[str, int | None] = field(default_factory=dict)

    def build(self, entries: Mapping[str, Entry], now: Instant) -> Built:
        """What *entries* make together with all that is stored."""
        return build(entries, self.stored, now, name=self.name)

    def take(self, entries: Mapping[str, Entry], built: Built) -> None:
        """Use what was *built* of *entries* from now on."""
        self.entries = entries
        self.configuration = built.configuration
        self.faults = built.stored_faults
        self.pending.clear()
        self._lines = {known.key: known.line for known in effective(entries, {})}

    def allowed(self) -> NetworkTable[Network]:
        """The allowed networks of the file and the store together."""
        table: NetworkTable[Network] = NetworkTable()
        for key in (*self.entries, *self.stored):
            if not key.startswith(ALLOWED_NETWORKS):
                continue
            try:
                network = parse_network(key.removeprefix(ALLOWED_NETWORKS))
            except AddressError:
                continue  # a stored key of another version: its fault is told by the status
            table.put(network, network)
        return table

    def effective(self) -> Iterator[tuple[EffectiveKey, str]]:
        """Every key in force, with where it stands."""
        for known in effective(self.entries, self.stored):
            yield known, "store" if known.line is None else f"{self.name}:{known.line}"

    def stands_in_file(self, key: str) -> bool:
        return key in self._lines

    def in_file(self, prefix: str) -> list[str]:
        """The file's keys that begin with *prefix*."""
        return [key for key in self._lines if key.startswith(prefix)]

    def place(self, key: str) -> str:
        """Where in the file *key* stands."""
        line = self._lines.get(key)
        return f"{self.name}" if line is None else f"{self.name}:{line}"
