"""Keys of the proxies before the doors: whom to believe, and where to expect them."""

from __future__ import annotations

from mailward.rules.addresses import parse_network
from mailward.settings import readers
from mailward.settings.key import Key, Shape

TRUSTED_NETWORKS = Key(
    "server.proxy.trusted-networks.<network>",
    "addresses and networks",
    "proxies and webmails: believed who their clients are, and never counted themselves",
    parse_network,
    shape=Shape.LIST,
    spell=readers.network_text,
)
LISTENER_PROXY_PROTOCOL = Key(
    "server.listener.<id>.proxy-protocol",
    "true or false",
    "whether every connection begins with a PROXY header, v1 or v2; only trusted networks may come",
    readers.yes_or_no,
    "false",
)
