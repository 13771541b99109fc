"""A web server with several sites behind a JMAP door: a proof by one Host is none by another."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.conftest import ACCOUNTS, StartMailward
from tests.real.jmap import JmapDoor, jmap_tables
from tests.real.processes import Child, answers, free_port
from tests.real.servers import program, running

ATTACKER, OWNER = "127.0.0.66", "127.0.0.67"
WELL_KNOWN = "/.well-known/jmap"
_CONF = """\
daemon off;
worker_processes 1;
user nobody nogroup;
pid {folder}/pid;
error_log stderr;
events {{
  worker_connections 100;
}}
http {{
  log_format sites "$host $remote_user $status $uri";
  access_log {folder}/access sites;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  default_type application/json;
  root {folder}/root;
  server {{
    listen 127.0.0.1:{port} default_server;
    server_name mail.test;
    auth_basic mail;
    auth_basic_user_file {folder}/passwords;
  }}
  server {{
    listen 127.0.0.1:{port};
    server_name open.test;
  }}
  server {{
    listen 127.0.0.1:{port};
    server_name lax.test;
    location / {{
      if ($http_authorization = "") {{
        return 401;
      }}
    }}
  }}
}}
"""


class Sites:
    """nginx with one site that knows passwords, an open one, and one where any is right."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder / "sites"
        resource = self._folder / "root" / WELL_KNOWN[1:]
        resource.parent.mkdir(parents=True)
        resource.write_text(json.dumps({"apiUrl": "/jmap/"}))
        (self._folder / "passwords").write_text(
            "".join(f"{login}:{{PLAIN}}{password}\n" for login, password in ACCOUNTS.items())
        )
        (self._folder / "nginx.conf").write_text(_CONF.format(folder=self._folder, port=self.port))
        self._child: Child | None = None

    def start(self) -> None:
        child = Child(
            [program("nginx"), "-e", "stderr", "-c", self._folder / "nginx.conf"],
            output=self._folder / "output",
            folder=self._folder,
        )
        self._child = child
        child.wait_until(lambda: answers(self.port))

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child = None

    def asked(self) -> Counter[tuple[str, str, str]]:
        """How often a site was asked by a login, and with which status it has answered."""
        lines = (self._folder / "access").read_text().splitlines()
        return Counter((site, login, status) for site, login, status, _ in map(str.split, lines))


@pytest.fixture
def sites(folder: Path) -> Iterator[Sites]:
    sites = Sites(folder)
    with running(sites):
        yield sites


def told(door: JmapDoor, host: str, password: str, source: str = ATTACKER) -> int | None:
    answer = door.ask(WELL_KNOWN, "alice", password, source=source, Host=host)
    return None if answer is None else answer.status


@pytest.mark.parametrize(("other", "answered"), [("open.test", 503), ("lax.test", 200)])
def test_of_guesses_that_another_host_proves_no_more_than_the_limit_get_through(
    other: str, answered: int, sites: Sites, mailward: StartMailward
) -> None:
    port = free_port()
    ward = mailward('fail2ban = "10/1h"', more=jmap_tables(port, sites.port), running=True)
    door = JmapDoor(port)
    before = [told(door, "mail.test", ACCOUNTS["alice"], OWNER) for _ in range(2)]
    statuses = Counter(
        (host, told(door, host, f"wrong-opensesame-{number}"))
        for number in range(40)
        for host in (other, "mail.test")
    )
    assert before == [200, 200]
    assert statuses["mail.test", 401] == 10
    assert statuses["mail.test", None] == 30
    assert statuses[other, answered] == 10
    assert sites.asked()["mail.test", "alice", "401"] == 10
    assert sorted(ward.bans()) == [ATTACKER, "alice"]
    assert ward.bans()["alice"]["failures"] == 10


def test_a_site_that_is_open_to_all_is_said_to_be(sites: Sites, mailward: StartMailward) -> None:
    port = free_port()
    ward = mailward('fail2ban = "10/1h"', more=jmap_tables(port, sites.port), running=True)
    door = JmapDoor(port)
    assert told(door, "open.test", ACCOUNTS["alice"]) == 503
    assert told(door, "mail.test", ACCOUNTS["alice"]) == 200
    assert f"shows {WELL_KNOWN} to whoever asks as open.test" in ward.log()
