"""The policy: what counts, how much of it, and what follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

from mailward.rules.addresses import NetworkTable, Prefixes, network_name, network_subject
from mailward.rules.logins import Naming
from mailward.rules.model import Ban, Instant, Limit, Network, Reason, Subject, SubjectKind
from mailward.rules.policy import Policy
from mailward.rules.subjects import SubjectError, subject_of_kind
from mailward.settings.key import Key
from mailward.settings.proxies import TRUSTED_NETWORKS
from mailward.settings.readers import Off
from mailward.settings.reading import Given, Read, Reading
from mailward.settings.schema import (
    ALLOWED_NETWORKS,
    BAN_CLOSES_SESSIONS,
    BAN_PERIOD,
    BLOCKED_LOGINS,
    BLOCKED_NETWORKS,
    BLOCKED_OPERATORS,
    DEFAULT_DOMAIN,
    DOMAIN_ALIASES,
    FAIL2BAN,
    HOLD_SHARED_ADDRESSES,
    IPV4_PREFIX,
    IPV6_PREFIX,
    LOGIN_BAN_PERIOD,
    LOGIN_DETAIL_SEPARATOR,
    LOGIN_FAIL2BAN,
    LOGIN_FORMAT,
    LOGIN_TRANSLATION,
    MASTER_SEPARATOR,
    MAX_TRACKED,
    NAT64_PREFIXES,
    OBSERVE,
)

_ADDRESS = SubjectKind.ADDRESS


def read_policy(reading: Reading, now: Instant, before: Policy | None = None) -> Policy:
    """The policy; the bans that the file spells out hold since *now*, or as in the one *before*."""
    limit = reading.one(FAIL2BAN)
    login_limit = reading.given(LOGIN_FAIL2BAN)
    naming, prefixes = _naming(reading), _prefixes(reading)
    allowed, allowed_in_file = _allowed(reading, prefixes)
    known = _known_networks(before, prefixes)
    return Policy(
        address_limit=_limit(limit),
        login_limit=_limit(limit if login_limit is None else login_limit.value),
        address_term=reading.one(BAN_PERIOD),
        login_term=reading.one(LOGIN_BAN_PERIOD),
        ban_closes_sessions=reading.one(BAN_CLOSES_SESSIONS),
        prefixes=prefixes,
        naming=naming,
        allowed=allowed,
        trusted=_trusted(reading, prefixes),
        blocked=(
            *_blocked_networks(reading, prefixes, allowed_in_file, known, now),
            *_blocked_names(reading, BLOCKED_LOGINS, SubjectKind.LOGIN, naming, now),
            *_blocked_names(reading, BLOCKED_OPERATORS, SubjectKind.OPERATOR, naming, now),
        ),
        max_tracked=reading.one(MAX_TRACKED),
        observe=reading.one(OBSERVE),
        hold_shared_addresses=reading.one(HOLD_SHARED_ADDRESSES),
    )


def _limit(limit: Limit | Off) -> Limit | None:
    match limit:
        case Off.OFF:
            return None
        case Limit():
            return limit


def _prefixes(reading: Reading) -> Prefixes:
    default = Prefixes()
    more = (read.value for read in reading.members(NAT64_PREFIXES))
    return Prefixes(
        ipv4_bits=reading.one(IPV4_PREFIX),
        ipv6_bits=reading.one(IPV6_PREFIX),
        nat64=tuple(dict.fromkeys((*default.nat64, *more))),
    )


def _naming(reading: Reading) -> Naming:
    _check_separators(reading)
    return Naming(
        default_domain=reading.optional(DEFAULT_DOMAIN) or "",
        login_format=reading.one(LOGIN_FORMAT),
        domain_aliases=MappingProxyType(_aliases(reading)),
        master_separator=reading.optional(MASTER_SEPARATOR) or "",
        translation=reading.optional(LOGIN_TRANSLATION) or "",
        detail_separator=reading.optional(LOGIN_DETAIL_SEPARATOR) or "",
    )


def _check_separators(reading: Reading) -> None:
    """Refuse what would make two logins of one name when it is read again, as it is shown."""
    master = reading.given(MASTER_SEPARATOR)
    if master is None:
        return
    translation = reading.given(LOGIN_TRANSLATION)
    detail = reading.given(LOGIN_DETAIL_SEPARATOR)
    for other, is_wrong in (
        (translation, translation is not None and master.value in translation.value[1::2]),
        (detail, detail is not None and master.value == detail.value),
    ):
        if other is not None and is_wrong:
            given = (other.given, master.given)
            reading.refuse(
                next((one for one in given if one.is_stored), other.given),
                f'"{master.value}" is the master-separator; use another character',
            )


def _aliases(reading: Reading) -> dict[str, str]:
    """Every alias with the domain at the end of its chain."""
    given: dict[str, Read[str]] = {}
    for domain, target in reading.pairs(DOMAIN_ALIASES):
        before = given.get(domain)
        if before is not None and before.value != target.value and not target.given.is_stored:
            reading.refuse(target.given, f"{domain} stands for {before.value} already")
        given[domain] = target
    targets = {domain: target.value for domain, target in given.items()}
    for circle in _circles(targets):
        # If a stored alias closes the circle, the file's alone may be right.
        keys = [given[domain].given for domain in circle]
        for key in [key for key in keys if key.is_stored] or keys:
            reading.refuse(key, f"goes in a circle: {' -> '.join([*circle, circle[0]])}")
        for domain in circle:
            del targets[domain]
    return _ends(targets)


def _circles(targets: Mapping[str, str]) -> list[list[str]]:
    circles = []
    seen: set[str] = set()
    for start in targets:
        chain: dict[str, None] = {}
        domain = start
        while domain in targets and domain not in seen:
            seen.add(domain)
            chain[domain] = None
            domain = targets[domain]
        if domain in chain:
            names = list(chain)
            circles.append(names[names.index(domain) :])
    return circles


def _ends(targets: Mapping[str, str]) -> dict[str, str]:
    ends: dict[str, str] = {}
    for start in targets:
        chain = []
        domain = start
        while domain in targets and domain not in ends:
            chain.append(domain)
            domain = targets[domain]
        end = ends.get(domain, domain)
        ends.update(dict.fromkeys(chain, end))
    return ends


def _allowed(
    reading: Reading, prefixes: Prefixes
) -> tuple[NetworkTable[Network], NetworkTable[Network]]:
    """The allowed networks: all of them, and those of the file alone."""
    allowed: NetworkTable[Network] = NetworkTable()
    in_file: NetworkTable[Network] = NetworkTable()
    for read in reading.members(ALLOWED_NETWORKS):
        network = prefixes.fold_network(read.value)
        allowed.put(network, network)
        if not read.given.is_stored:
            in_file.put(network, network)
    return allowed, in_file


def _trusted(reading: Reading, prefixes: Prefixes) -> NetworkTable[Network]:
    trusted: NetworkTable[Network] = NetworkTable()
    for read in reading.members(TRUSTED_NETWORKS):
        network = prefixes.fold_network(read.value)
        trusted.put(network, network)
    return trusted


def _known_networks(before: Policy | None, prefixes: Prefixes) -> dict[str, Ban]:
    """The blocked networks of *before* by their spelling, if the same texts still mean the same."""
    if before is None or before.prefixes != prefixes:
        return {}
    return {ban.subject.name: ban for ban in before.blocked if ban.subject.kind is _ADDRESS}


def _blocked_networks(
    reading: Reading,
    prefixes: Prefixes,
    allowed_in_file: NetworkTable[Network],
    known: Mapping[str, Ban],
    now: Instant,
) -> list[Ban]:
    bans = {}
    for given in reading.all(BLOCKED_NETWORKS):
        ban = known.get(given.member)
        if ban is not None and ban.note == given.value and not len(allowed_in_file):
            bans[ban.subject] = ban  # nothing has changed: a long list is not read again
            continue
        read = reading.member(BLOCKED_NETWORKS, given)
        if read is None:
            continue
        networks = [prefixes.fold_network(network) for network in read.value]
        wrong = _why_unblockable(networks, allowed_in_file)
        if wrong:
            reading.refuse(given, wrong)
            continue
        for subject in map(network_subject, networks):
            ban = known.get(subject.name)
            is_same = ban is not None and ban.note == given.value
            bans[subject] = ban if ban and is_same else _ban(subject, given, now)
    return list(bans.values())


def _why_unblockable(
    networks: Sequence[Network], allowed_in_file: NetworkTable[Network]
) -> str | None:
    """What speaks against blocking all of *networks*, if anything does."""
    for network in networks:
        if network.prefixlen == 0:
            return (
                "blocks everybody; a network of length /0 can only be banned by hand:"
                f" mailward ban {network} --yes"
            )
        # What is allowed by a stored key wins over the file's blocks; that is no fault.
        for allowed in allowed_in_file.enclosing(network):
            return f"is inside the allowed network {network_name(allowed)}, which wins"
    return None


def _blocked_names(
    reading: Reading, key: Key[str], kind: SubjectKind, naming: Naming, now: Instant
) -> list[Ban]:
    bans = {}
    spelling = Policy(naming=naming)
    for read in reading.members(key):
        try:
            subject = subject_of_kind(read.value, kind, spelling)
        except SubjectError as error:
            reading.refuse(read.given, str(error))
        else:
            bans[subject] = _ban(subject, read.given, now)
    return list(bans.values())


def _ban(subject: Subject, given: Given, now: Instant) -> Ban:
    return Ban(subject, Reason.MANUAL, since=now, note=given.value)
