"""What the oracle names, in the guard's own words."""

from __future__ import annotations

from datetime import timedelta
from ipaddress import IPv6Network, ip_network

from mailward.rules.addresses import NetworkTable, Prefixes, network_subject
from mailward.rules.model import Ban, Instant, Limit, Network, Reason, Subject, SubjectKind
from mailward.rules.policy import BanTerm, Policy, Term
from tests.guard.oracle import ADDRESS, LOGIN, UNTIL_LIFTED, WHILE_FULL, Name, Rules

START = 1_790_000_000.0
KINDS = {ADDRESS: SubjectKind.ADDRESS, LOGIN: SubjectKind.LOGIN}
_TERMS = {UNTIL_LIFTED: Term.UNTIL_LIFTED, WHILE_FULL: Term.UNTIL_WINDOW_EMPTIES}


def name_of(subject: Subject) -> Name:
    return subject.kind.value, subject.name


def subject_of(name: Name) -> Subject:
    return Subject(KINDS[name[0]], name[1])


def policy_of(rules: Rules) -> Policy:
    """The same rules as the guard reads them."""
    allowed: NetworkTable[Network] = NetworkTable()
    for text in rules.allowed:
        allowed.put(ip_network(text), ip_network(text))
    limits: dict[str, Limit | None] = {
        kind: limit and Limit(limit[0], timedelta(seconds=limit[1]))
        for kind, limit in rules.limits.items()
    }
    terms: dict[str, BanTerm] = {
        kind: timedelta(seconds=term) if isinstance(term, float) else _TERMS[term]
        for kind, term in rules.terms.items()
    }
    return Policy(
        limits[ADDRESS],
        limits[LOGIN],
        terms[ADDRESS],
        terms[LOGIN],
        prefixes=Prefixes(rules.v4_bits, rules.v6_bits, (IPv6Network("64:ff9b::/96"),)),
        allowed=allowed,
        blocked=tuple(
            Ban(network_subject(ip_network(text)), Reason.MANUAL, Instant(START))
            for text in rules.blocked
        ),
        max_tracked=rules.room,
        observe=rules.observe,
        hold_shared_addresses=rules.hold,
    )
