"""What the process of the built-in mail server is told of the configuration."""

from __future__ import annotations

import json

from mailward.settings.configuration import Bind, Configuration


def settings_line(configuration: Configuration, hostname: str) -> str:
    """One JSON object; *hostname* is the machine's, used where none is configured."""
    embedded, naming = configuration.embedded, configuration.policy.naming
    return json.dumps(
        {
            "hostname": configuration.hostname or hostname,
            "relay": None if embedded.relay is None else str(Bind(*embedded.relay)),
            "quota": embedded.quota,
            "naming": {
                "default_domain": naming.default_domain,
                "domain_aliases": dict(naming.domain_aliases),
                "login_format": naming.login_format.value,
                "translation": naming.translation,
                "detail_separator": naming.detail_separator,
            },
        }
    )
