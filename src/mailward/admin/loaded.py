"""The settings in use: what the file said when it was last read, and what is stored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mailward.admin.names import ALLOWED_NETWORKS, ban_key
from mailward.rules.addresses import AddressError, NetworkTable, parse_network
from mailward.rules.model import Instant, Network
from mailward.settings.build import Built, EffectiveKey, build, effective
from mailward.settings.configuration import Configuration
from mailward.settings.dialect import Entry
from mailward.settings.errors import Fault


@dataclass(frozen=True, slots=True)
class Anew:
    """What a file says: what was *built* of it, and its *keys* by their one spelling."""

    built: Built
    keys: Mapping[str, EffectiveKey]


def read_anew(entries: Mapping[str, Entry], built: Built) -> Anew:
    """What was *built* of *entries*, as it is kept."""
    # To spell networks takes a while, and the bans on them have done so.
    bans = () if built.configuration is None else built.configuration.policy.blocked
    return Anew(built, effective(entries, {}, {ban_key(ban.subject) for ban in bans}))


@dataclass(slots=True)
class Loaded:
    """*file* are the keys of the file *name*; *stored* changes while the daemon runs.

    *pending* keys were changed, but wait for a reload. *faults* are those of stored keys, which
    are not in force.
    """

    name: str | None
    stored: dict[str, str]
    configuration: Configuration | None = None
    faults: tuple[Fault, ...] = ()
    pending: dict[str, None] = field(default_factory=dict)
    file: Mapping[str, EffectiveKey] = field(default_factory=dict)

    def build(self, entries: Mapping[str, Entry], now: Instant) -> Built:
        """What *entries* make together with all that is stored."""
        before = None if self.configuration is None else self.configuration.policy
        return build(entries, self.stored, now, name=self.name, before=before)

    def take(self, anew: Anew) -> list[object]:
        """Use *anew* from now on; return what was in use before, for whoever lets it go."""
        bans = () if self.configuration is None else self.configuration.policy.blocked
        before: list[object] = [*bans, *self.file.values()]
        self.configuration = anew.built.configuration
        self.faults = anew.built.stored_faults
        self.pending.clear()
        self.file = anew.keys
        return before

    def allowed(self) -> NetworkTable[Network]:
        """The allowed networks of the file and the store together."""
        table: NetworkTable[Network] = NetworkTable()
        for key in (*self.file, *self.stored):
            if not key.startswith(ALLOWED_NETWORKS):
                continue
            try:
                network = parse_network(key.removeprefix(ALLOWED_NETWORKS))
            except AddressError:
                continue  # a stored key of another version: its fault is told by the status
            table.put(network, network)
        return table

    def effective(self) -> Sequence[EffectiveKey]:
        """Every key in force; where two are the same, the one that is comes last."""
        return [*self.file.values(), *effective({}, self.stored).values()]

    def origin(self, known: EffectiveKey) -> str:
        """Where a key in force stands."""
        _, _, line = known
        return "store" if line is None else f"{self.name}:{line}"

    def stands_in_file(self, key: str) -> bool:
        return key in self.file

    def in_file(self, prefix: str) -> list[str]:
        """The file's keys that begin with *prefix*."""
        return [key for key in self.file if key.startswith(prefix)]

    def place(self, key: str) -> str:
        """Where in the file *key* stands."""
        known = self.file.get(key)
        return f"{self.name}" if known is None else self.origin(known)
