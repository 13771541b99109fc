"""Where configuration and data are, when nobody says."""

from __future__ import annotations

import os
from pathlib import Path

CONFIG_VARIABLE = "MAILWARD_CONFIG"
DATA_VARIABLE = "MAILWARD_DATA"


def config_path(given: str | None) -> Path | None:
    """The configuration file: as given, as the environment says, or the usual one if it exists."""
    named = given or os.environ.get(CONFIG_VARIABLE)
    if named:
        return Path(named)
    usual = usual_config_path()
    return usual if usual.exists() else None


def usual_config_path() -> Path:
    """Where the configuration file is looked for when nothing names one."""
    if os.geteuid() == 0:
        return Path("/etc/mailward/config.toml")
    return Path.home() / ".config/mailward/config.toml"


def data_path(given: str | None) -> Path:
    """The data directory: as given, as the environment says, or the usual one."""
    named = given or os.environ.get(DATA_VARIABLE)
    if named:
        return Path(named)
    if os.geteuid() == 0:
        return Path("/var/lib/mailward")
    return Path.home() / ".local/share/mailward"
