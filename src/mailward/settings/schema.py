"""Every key there is.

The command line, the documentation and the reading of the file are all made from this table.
"""

from __future__ import annotations

from datetime import timedelta

from mailward.rules.addresses import parse_network
from mailward.rules.limits import MAX_FAILURES, format_limit
from mailward.rules.logins import LoginFormat
from mailward.rules.policy import DEFAULT_LIMIT, DEFAULT_MAX_TRACKED
from mailward.rules.ranges import parse_networks
from mailward.settings import readers
from mailward.settings.configuration import (
    ClientAddress,
    Encryption,
)
from mailward.settings.embeddedkeys import EMBEDDED_PATH, EMBEDDED_QUOTA, EMBEDDED_RELAY
from mailward.settings.key import Effect, Key, Shape
from mailward.settings.proxies import LISTENER_PROXY_PROTOCOL, TRUSTED_NETWORKS
from mailward.settings.upkeepkeys import (
    ADMIN_SECRET,
    ADMIN_USER,
    LOG_FORMAT,
    LOG_LEVEL,
    MANAGEMENT_SOCKET,
    STORE_PATH,
    STORE_TYPE,
)
from mailward.settings.webkeys import LISTENER_CLIENT_HEADER, LISTENER_PATHS

_YES_OR_NO = "true or false"
_SHORT = timedelta(minutes=10)
_LONG = timedelta(hours=1)

HOSTNAME = Key(
    "server.hostname",
    "a domain name",
    "how the doors call themselves; without it the machine's name",
    readers.domain,
)

FAIL2BAN = Key(
    "server.security.fail2ban",
    f'failures/period like "100/1d" (at most {MAX_FAILURES} failures in 366d), or "none"',
    "the failure that reaches this limit bans the address, or the login, that it counts for",
    readers.limit_or_off,
    format_limit(DEFAULT_LIMIT),
)
LOGIN_FAIL2BAN = Key(
    "server.security.login-fail2ban",
    'failures/period like "100/1d", or "none"',
    "another limit for logins; without it that of fail2ban",
    readers.limit_or_off,
)
BLOCKED_NETWORKS = Key(
    "server.security.blocked-networks.<network>",
    "addresses, networks and ranges of addresses",
    "banned until lifted by hand",
    parse_networks,
    shape=Shape.LIST,
    effect=Effect.NOW,
    spell=readers.networks_text,
)
BLOCKED_LOGINS = Key(
    "server.security.blocked-logins.<login>",
    "login names",
    "banned until lifted by hand",
    readers.as_written,
    shape=Shape.LIST,
    effect=Effect.NOW,
)
BLOCKED_OPERATORS = Key(
    "server.security.blocked-operators.<name>",
    "names of operators",
    "banned at manage listeners until lifted by hand; the socket is open to them",
    readers.banned_operator,
    shape=Shape.LIST,
    effect=Effect.NOW,
    spell=readers.banned_operator,
)
ALLOWED_NETWORKS = Key(
    "server.security.allowed-networks.<network>",
    "addresses and networks",
    "never counted and never banned, whatever blocks them; their logins count as any other",
    parse_network,
    shape=Shape.LIST,
    effect=Effect.NOW,
    spell=readers.network_text,
)
BAN_PERIOD = Key(
    "server.security.ban-period",
    '"never" or a period like "4w"',
    "when the automatic ban of an address ends by itself",
    readers.ban_term,
    "never",
)
LOGIN_BAN_PERIOD = Key(
    "server.security.login-ban-period",
    '"limit", "never" or a period like "1d"',
    'when the automatic ban of a login ends by itself; "limit": when enough failures are too old',
    readers.login_ban_term,
    "limit",
)
BAN_CLOSES_SESSIONS = Key(
    "server.security.ban-closes-sessions",
    _YES_OR_NO,
    "whether a ban on an address also ends sessions that are logged in; one by hand on a login"
    " always does",
    readers.yes_or_no,
    "false",
)
OBSERVE = Key(
    "server.security.observe",
    _YES_OR_NO,
    "whether all is counted and judged, but nobody is dropped or refused except by hand",
    readers.yes_or_no,
    "false",
)
HOLD_SHARED_ADDRESSES = Key(
    "server.security.hold-shared-addresses",
    _YES_OR_NO,
    "whether the automatic ban of an address is only observed while many logins succeed from it",
    readers.yes_or_no,
    "false",
)
IPV4_PREFIX = Key(
    "server.security.ipv4-prefix",
    "8 to 32",
    "how many bits of an IPv4 address are counted and banned as one",
    readers.whole_number(8, 32),
    "32",
)
IPV6_PREFIX = Key(
    "server.security.ipv6-prefix",
    "32 to 128",
    "how many bits of an IPv6 address are counted and banned as one",
    readers.whole_number(32, 128),
    "64",
)
DEFAULT_DOMAIN = Key(
    "server.security.default-domain",
    "a domain name",
    "the domain of a login that is given without one",
    readers.domain,
)
LOGIN_FORMAT = Key(
    "server.security.login-format",
    '"full" or "local-part"',
    "which part of a login tells accounts apart",
    readers.one_of(LoginFormat),
    "full",
)
DOMAIN_ALIASES = Key(
    "server.security.domain-aliases.<domain>",
    "domain names, each with the domain it stands for",
    "domains whose logins are those of another domain",
    readers.domain,
    shape=Shape.MAP,
    spell=readers.domain,
)
MASTER_SEPARATOR = Key(
    "server.security.master-separator",
    'one ASCII character that is no letter, digit or "@"',
    "what stands between an account and the master user who logs in to it",
    readers.separator,
)
LOGIN_TRANSLATION = Key(
    "server.security.login-translation",
    "pairs of ASCII characters, from and to",
    "characters of logins that stand for others, as in Dovecot's auth_username_translation",
    readers.translation,
)
LOGIN_DETAIL_SEPARATOR = Key(
    "server.security.login-detail-separator",
    'one ASCII character that stands in no name or domain, like "+"',
    "where a detail begins that makes no other account of a login: jdoe+detail@domain",
    readers.detail_separator,
)
NAT64_PREFIXES = Key(
    "server.security.nat64-prefixes.<prefix>",
    "IPv6 networks of length /96",
    "where IPv6 addresses carry an IPv4 address, besides 64:ff9b::/96",
    readers.nat64_prefix,
    shape=Shape.LIST,
    spell=readers.network_text,
)
MAX_TRACKED = Key(
    "server.security.max-tracked",
    "1000 to 100000000",
    "how many addresses, and how many logins, are counted at most",
    readers.whole_number(1_000, 100_000_000),
    str(DEFAULT_MAX_TRACKED),
)
LOGIN_TIMEOUT = Key(
    "server.security.login-timeout",
    "1s to 1h",
    "the whole time a connection has to log in",
    readers.period_up_to(_LONG),
    "60s",
)
MAX_ATTEMPTS = Key(
    "server.security.max-attempts",
    "1 to 1000",
    "failures after which a connection is closed",
    readers.whole_number(1, 1_000),
    "3",
)
MAX_WAITING = Key(
    "server.security.max-waiting",
    "1 to 1000000",
    "connections that are not logged in, at all doors together",
    readers.whole_number(1, 1_000_000),
    "10000",
)
MAX_WAITING_PER_ADDRESS = Key(
    "server.security.max-waiting-per-address",
    "1 to 1000000",
    "connections of one address that are not logged in",
    readers.whole_number(1, 1_000_000),
    "50",
)

LISTENER_PROTOCOL = Key(
    "server.listener.<id>.protocol",
    '"imap", "submission", "managesieve", "smtp", "tcp", "jmap" or "manage"',
    'what the listener speaks; "smtp" is port 25, "tcp" anything, "manage" the management API',
    readers.listener_protocol,
)
LISTENER_BIND = Key(
    "server.listener.<id>.bind.<address>",
    "addresses with a port",
    "where the listener listens; port 0 lets the system choose",
    readers.bind,
    shape=Shape.LIST,
)
LISTENER_BACKEND = Key(
    "server.listener.<id>.backend",
    'an id under [backend], or "embedded"',
    "the mail server behind the listener; embedded is the one that is built in",
    readers.as_written,
)
LISTENER_ALLOW_PLAINTEXT = Key(
    "server.listener.<id>.allow-plaintext",
    _YES_OR_NO,
    "whether passwords may come unencrypted; unset: on loopback alone, false: not even there; at an"
    " smtp listener, mail",
    readers.yes_or_no,
)

LISTENER_TLS_IMPLICIT = Key(
    "server.listener.<id>.tls.implicit",
    _YES_OR_NO,
    "whether TLS begins with the connection, instead of after STARTTLS",
    readers.yes_or_no,
    "false",
)
LISTENER_TLS_CERTIFICATE = Key(
    "server.listener.<id>.tls.certificate",
    "an id under [certificate]",
    'the certificate of the listener; without it "default" if there is one',
    readers.as_written,
)
CERTIFICATE_CERT = Key(
    "certificate.<id>.cert",
    "a file (PEM)",
    "a certificate and its chain; the path may be relative to the data directory",
    readers.path,
)
CERTIFICATE_PRIVATE_KEY = Key(
    "certificate.<id>.private-key",
    "a file (PEM)",
    "the certificate's key, without a passphrase",
    readers.path,
)

BACKEND_ADDRESS = Key(
    "backend.<id>.address",
    "host:port or [v6]:port; for jmap http://host:port or https://host:port; for all unix:path",
    "where the mail server listens; the path of a Unix socket may be relative to the data"
    " directory",
    readers.backend_address,
)
BACKEND_CLIENT_ADDRESS = Key(
    "backend.<id>.client-address",
    '"none", "proxy-v1", "proxy-v2", "imap-id" (IMAP), "xclient" (submission, managesieve, smtp)'
    ' or "forwarded" (jmap)',
    "how the mail server is told who the client is",
    readers.one_of(ClientAddress),
    "none",
)
BACKEND_TLS = Key(
    "backend.<id>.tls",
    '"none", "starttls" or "implicit"',
    "how the connection to the mail server is encrypted",
    readers.one_of(Encryption),
    "none",
    alias="backend.<id>.tls.mode",  # in TOML a table cannot have a value besides
)
BACKEND_TLS_CA = Key(
    "backend.<id>.tls.ca",
    "a file of certificates (PEM); the path may be relative to the data directory",
    "who may vouch for the mail server; without it the system's authorities",
    readers.path,
)
BACKEND_TLS_SERVER_NAME = Key(
    "backend.<id>.tls.server-name",
    "a domain name or an address",
    "the name in the mail server's certificate; without it the host of its address",
    readers.host_name,
)
BACKEND_CONNECT_TIMEOUT = Key(
    "backend.<id>.connect-timeout",
    "1s to 10m",
    "how long the mail server may take to be reached",
    readers.period_up_to(_SHORT),
    "10s",
)
BACKEND_ANSWER_TIMEOUT = Key(
    "backend.<id>.answer-timeout",
    "1s to 1h",
    "how long the mail server may take to judge credentials",
    readers.period_up_to(_LONG),
    "150s",
)
BACKEND_SECOND_OPINION = Key(
    "backend.<id>.second-opinion",
    'an id under [backend], or "none"',
    "an IMAP (or ManageSieve) server with the same accounts: what this one refuses over submission"
    " (or ManageSieve) counts only if that one refuses it too",
    readers.as_written,
)

SCHEMA: tuple[Key[object], ...] = (
    HOSTNAME,
    FAIL2BAN,
    LOGIN_FAIL2BAN,
    BLOCKED_NETWORKS,
    BLOCKED_LOGINS,
    BLOCKED_OPERATORS,
    ALLOWED_NETWORKS,
    BAN_PERIOD,
    LOGIN_BAN_PERIOD,
    BAN_CLOSES_SESSIONS,
    OBSERVE,
    HOLD_SHARED_ADDRESSES,
    IPV4_PREFIX,
    IPV6_PREFIX,
    DEFAULT_DOMAIN,
    LOGIN_FORMAT,
    DOMAIN_ALIASES,
    MASTER_SEPARATOR,
    LOGIN_TRANSLATION,
    LOGIN_DETAIL_SEPARATOR,
    NAT64_PREFIXES,
    MAX_TRACKED,
    LOGIN_TIMEOUT,
    MAX_ATTEMPTS,
    MAX_WAITING,
    MAX_WAITING_PER_ADDRESS,
    TRUSTED_NETWORKS,
    LISTENER_PROTOCOL,
    LISTENER_BIND,
    LISTENER_BACKEND,
    LISTENER_ALLOW_PLAINTEXT,
    LISTENER_PROXY_PROTOCOL,
    LISTENER_CLIENT_HEADER,
    LISTENER_PATHS,
    LISTENER_TLS_IMPLICIT,
    LISTENER_TLS_CERTIFICATE,
    BACKEND_ADDRESS,
    BACKEND_CLIENT_ADDRESS,
    BACKEND_TLS,
    BACKEND_TLS_CA,
    BACKEND_TLS_SERVER_NAME,
    BACKEND_CONNECT_TIMEOUT,
    BACKEND_ANSWER_TIMEOUT,
    BACKEND_SECOND_OPINION,
    EMBEDDED_PATH,
    EMBEDDED_RELAY,
    EMBEDDED_QUOTA,
    CERTIFICATE_CERT,
    CERTIFICATE_PRIVATE_KEY,
    STORE_TYPE,
    STORE_PATH,
    MANAGEMENT_SOCKET,
    ADMIN_USER,
    ADMIN_SECRET,
    LOG_LEVEL,
    LOG_FORMAT,
)
