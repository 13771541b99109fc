"""What is allowed, but seldom meant: each with a sentence that says what to change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from ipaddress import ip_address

from mailward.settings.configuration import (
    ClientAddress,
    Configuration,
    Encryption,
    Listener,
    ManageListener,
    Passage,
    PassageListener,
    Protocol,
    Upstream,
    WebListener,
)

DESCRIPTORS_A_LOGIN = 2  # the client's connection, and the one to the mail server
DESCRIPTORS_OF_OUR_OWN = 64  # the store, the socket, operators' connections, the loop


def advice(configuration: Configuration, descriptors: int | None) -> Iterator[str]:
    """Every warning about *configuration*. *descriptors* is the limit; ``None`` says there is none.

    A limit that would be too tight for all connections is told with both ways out of it.
    """
    if configuration.policy.observe:
        yield (
            "nobody is dropped or refused but by hand: server.security.observe is on, so bans are"
            " only written down"
        )
    if configuration.policy.hold_shared_addresses and configuration.policy.login_limit is None:
        yield (
            "guesses from an address that many logins succeed from are without any limit:"
            " server.security.hold-shared-addresses is on, and logins are not limited; set"
            ' server.security.login-fail2ban, for example to "100/1d"'
        )
    for upstream in configuration.upstreams.values():
        doors = [door for door in configuration.listeners if door.backend == upstream.name]
        passages = [door for door in configuration.passages if door.backend == upstream.name]
        web = [door for door in configuration.web if door.backend == upstream.name]
        if doors or passages or web:
            yield from _of_client_address(
                upstream, [*doors, *web], has_passages=bool(passages), is_web=bool(web)
            )
        yield from _of_sieve_tls(upstream, doors)
    yield from _of_allowed(configuration)
    yield from _of_trusted(configuration)
    for listener in configuration.listeners:
        yield from _of_plaintext(listener)
    for web_listener in configuration.web:
        yield from _of_plaintext(web_listener)
    for passage in configuration.passages:
        yield from _of_no_starttls(passage)
    for manager in configuration.managers:
        yield from _of_plaintext(manager)
    yield from _of_second_opinions(configuration)
    if descriptors is not None:
        yield from _of_descriptors(configuration.doors.max_waiting, descriptors)


def _of_client_address(
    upstream: Upstream,
    doors: Sequence[Listener | WebListener],
    *,
    has_passages: bool,
    is_web: bool,
) -> Iterator[str]:
    key = f"backend.{upstream.name}.client-address"
    match upstream.client_address:
        case ClientAddress.NONE:
            telling = "forwarded" if is_web else "proxy-v2"
            block_lists = " and block lists" if has_passages else ""
            yield (
                f"backend {upstream.name} is not told who connects, so its own penalties"
                f'{block_lists} hit everybody: set {key} = "{telling}" and let it expect that'
            )
        case ClientAddress.PROXY_V1 if upstream.tls.mode is Encryption.NONE:
            encrypted = [door.name for door in doors if door.tls is not None]
            if encrypted:
                yield (
                    f'backend {upstream.name} cannot learn by "proxy-v1" that clients of'
                    f" {', '.join(encrypted)} have TLS, and may refuse their passwords:"
                    f' set {key} = "proxy-v2", or backend.{upstream.name}.tls = "starttls"'
                )
        case (
            ClientAddress.PROXY_V1
            | ClientAddress.PROXY_V2
            | ClientAddress.IMAP_ID
            | ClientAddress.XCLIENT
            | ClientAddress.FORWARDED
        ):
            pass


def _of_sieve_tls(upstream: Upstream, doors: list[Listener]) -> Iterator[str]:
    """Dovecot 2.3's managesieve-login may not look at what came while it was answering in TLS."""
    speaks_sieve = any(door.protocol is Protocol.MANAGESIEVE for door in doors)
    if speaks_sieve and upstream.tls.mode is Encryption.IMPLICIT:
        yield (
            f"backend {upstream.name} is asked for ManageSieve with TLS from the first byte, where"
            " Dovecot leaves some logins without an answer: set"
            f' backend.{upstream.name}.tls = "starttls"'
        )


def _of_second_opinions(configuration: Configuration) -> Iterator[str]:
    """Postfix says an outage of the accounts of its Dovecot as it says a wrong password."""
    doors = [door for door in configuration.listeners if door.backend in configuration.upstreams]
    judges = [
        door.backend
        for protocol in (Protocol.IMAP, Protocol.MANAGESIEVE)
        for door in doors
        if door.protocol is protocol
    ]
    refusing = dict.fromkeys(door.backend for door in doors if door.protocol is Protocol.SUBMISSION)
    for name in refusing:
        if configuration.upstreams[name].second_opinion is None:
            key = f"backend.{name}.second-opinion"
            judge = (
                f'set {key} = "{judges[0]}" if they share their accounts'
                if judges
                else f"let {key} name an IMAP server that shares its accounts (a [backend.<id>],"
                " which needs no listener)"
            )
            yield (
                f"backend {name} may say an outage of its accounts as it says a wrong password"
                f' (Postfix does), and that would count: {judge}, or set it to "none" if it tells'
                " them apart"
            )


def _of_allowed(configuration: Configuration) -> Iterator[str]:
    for network in configuration.policy.allowed.values():
        if network.prefixlen == 0:
            yield (
                f"all of IPv{network.version} is allowed, so no address in it is ever counted or"
                f" banned: delete server.security.allowed-networks.{network}"
            )


def _of_trusted(configuration: Configuration) -> Iterator[str]:
    for network in configuration.policy.trusted.values():
        if network.prefixlen == 0:
            yield (
                f"all of IPv{network.version} is trusted, so whoever connects from it is believed"
                " any address, and is never counted by its own: name only your proxies, and delete"
                f" server.proxy.trusted-networks.{network}"
            )


def _of_plaintext(listener: Listener | WebListener | ManageListener) -> Iterator[str]:
    open_to = [bind for bind in listener.binds if not ip_address(bind.host).is_loopback]
    if listener.allow_plaintext and open_to:
        yield (
            f"listener {listener.name} takes passwords unencrypted over the network at"
            f" {', '.join(map(str, open_to))}: set server.listener.{listener.name}.allow-plaintext"
            " = false, unless the network is trusted"
        )


def _of_no_starttls(listener: PassageListener) -> Iterator[str]:
    open_to = [bind for bind in listener.binds if not ip_address(bind.host).is_loopback]
    if listener.protocol is Passage.SMTP and listener.tls is None and open_to:
        yield (
            f"listener {listener.name} offers no STARTTLS, so all mail comes unencrypted over the"
            f" network at {', '.join(map(str, open_to))}: add [certificate.default]"
        )


def fitted(configuration: Configuration, descriptors: int | None) -> Configuration:
    """*configuration* with as many connections waiting as *descriptors* are enough for.

    That is for the default; a number that was chosen stays, and is warned about.
    """
    limits = configuration.doors
    if descriptors is None or not limits.has_usual_max_waiting:
        return configuration
    fitting = _fitting(descriptors)
    if fitting >= limits.max_waiting:
        return configuration
    lowered = replace(limits, max_waiting=fitting, lowered_from=limits.max_waiting)
    return replace(configuration, doors=lowered)


def _fitting(descriptors: int) -> int:
    return max((descriptors - DESCRIPTORS_OF_OUR_OWN) // DESCRIPTORS_A_LOGIN, 1)


def _of_descriptors(max_waiting: int, descriptors: int) -> Iterator[str]:
    needed = max_waiting * DESCRIPTORS_A_LOGIN + DESCRIPTORS_OF_OUR_OWN
    if needed > descriptors:
        fitting = _fitting(descriptors)
        yield (
            f"max-waiting = {max_waiting} may take {needed} descriptors, but the system gives"
            f" {descriptors}: raise that (LimitNOFILE in systemd, ulimit -n in a shell), or set"
            f" server.security.max-waiting to {fitting} or less"
        )
