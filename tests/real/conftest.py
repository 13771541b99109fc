"""Servers for the tests: one Dovecot and one Postfix for all, a mailward for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import pytest

from tests.real.cyrus import Cyrus
from tests.real.cyrus_root import cyrus_root
from tests.real.daemon import Mailward
from tests.real.processes import disk_of, private_folder
from tests.real.servers import Dovecot, Postfix, running
from tests.real.trixie import Trixie, trixie_servers

# "opensesame" stands in every password that a test uses, so one look finds any that got out.
ACCOUNTS = {"alice": "alice-opensesame", "bob": "bob-opensesame"}


@pytest.fixture
def folder() -> Iterator[Path]:
    with private_folder() as folder:
        yield folder


@pytest.fixture
def small_disk(folder: Path) -> Iterator[Path]:
    """Where a daemon in the folder ``ward`` keeps its data: 8 MB, and not one more."""
    with disk_of(8, folder / "ward" / "data") as disk:
        yield disk


@pytest.fixture(scope="session")
def servers() -> Iterator[tuple[Dovecot, Postfix]]:
    if os.geteuid() != 0:
        pytest.fail("the tests against real servers need root: Dovecot and Postfix start with it")
    with private_folder() as folder:
        dovecot = Dovecot(folder, ACCOUNTS)
        postfix = Postfix(folder, dovecot.sasl_socket)
        with running(dovecot, postfix):
            yield dovecot, postfix


@pytest.fixture(scope="session")
def the_cyrus() -> Iterator[Cyrus]:
    with cyrus_root() as root:
        cyrus = Cyrus(root, ACCOUNTS)
        with running(cyrus):
            yield cyrus


@pytest.fixture
def cyrus(the_cyrus: Cyrus) -> Cyrus:
    """The Cyrus of all tests, with an empty log."""
    the_cyrus.forget_log()
    return the_cyrus


@pytest.fixture(scope="session")
def the_trixie() -> Iterator[Trixie]:
    with trixie_servers(ACCOUNTS) as servers:
        yield servers


@pytest.fixture
def trixie(the_trixie: Trixie) -> Trixie:
    """The servers of Debian 13 of all tests, with empty logs."""
    the_trixie.dovecot.forget_guesses()
    the_trixie.postfix.forget_log()
    return the_trixie


@pytest.fixture
def dovecot(servers: tuple[Dovecot, Postfix]) -> Dovecot:
    """The Dovecot of all tests, with no guess in its log yet."""
    servers[0].forget_guesses()
    return servers[0]


@pytest.fixture
def postfix(servers: tuple[Dovecot, Postfix]) -> Postfix:
    """The Postfix of all tests, with an empty log."""
    servers[1].forget_log()
    return servers[1]


class StartMailward(Protocol):
    """Starts a mailward with these lines under [server.security], before these backends.

    *more* are tables behind those that it has anyway.
    """

    def __call__(
        self,
        security: str,
        *,
        imap: int | None = None,
        submission: int | None = None,
        pigeonhole: int | None = None,
        backend: str = "",
        more: str = "",
        running: bool = True,
        has_servers: bool = True,
    ) -> Mailward: ...


@pytest.fixture
def mailward(folder: Path, dovecot: Dovecot, postfix: Postfix) -> Iterator[StartMailward]:
    """A mailward in front of the servers of all tests, or of others by their ports."""
    wards: list[Mailward] = []

    def start(
        security: str,
        *,
        imap: int | None = None,
        submission: int | None = None,
        pigeonhole: int | None = None,
        backend: str = "",
        more: str = "",
        running: bool = True,
        has_servers: bool = True,
    ) -> Mailward:
        ward = Mailward(
            folder / f"mailward-{len(wards)}",
            security=security,
            dovecot=imap or dovecot.haproxy_port,
            postfix=submission or postfix.haproxy_port,
            pigeonhole=pigeonhole or dovecot.sieve_haproxy_port,
            backend=backend,
            more=more,
        )
        wards.append(ward)
        if running:
            ward.start(knows_backends=has_servers)
            dovecot.forget_guesses()
        return ward

    yield start
    for ward in wards:
        ward.finish()
