"""nginx (mail, HTTP) and HAProxy (TCP) in the place of our doors, each in a folder of its own.

Each has one worker, as we have; TLS ends at each with the same certificate.
"""

from __future__ import annotations

import ssl
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from bench.harness.clients import Speaks
from mailward.app.clock import SteadyClock
from mailward.app.selfsigned import CERTIFICATE_NAME, KEY_NAME, make_certificate
from tests.real.processes import Child, answers, free_port
from tests.real.servers import program


@dataclass(frozen=True, slots=True)
class Certificate:
    """One for localhost, and what a client needs to believe it."""

    chain: Path
    key: Path
    both: Path

    def client(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.chain))


def certificate(folder: Path) -> Certificate:
    make_certificate(folder, datetime.fromtimestamp(SteadyClock()(), UTC))
    made = Certificate(folder / CERTIFICATE_NAME, folder / KEY_NAME, folder / "both.pem")
    made.both.write_bytes(made.chain.read_bytes() + made.key.read_bytes())
    return made


@dataclass(frozen=True, slots=True)
class Way:
    """From a port of the peer to a backend."""

    backend: int
    speaks: Speaks = Speaks.IMAP
    tls: bool = False
    port: int = field(default_factory=free_port)


class Peer:
    """One server that is not ours."""

    def __init__(self, folder: Path, command: Sequence[str | Path], ports: Sequence[int]) -> None:
        self._folder = folder
        self._command = command
        self._ports = ports
        self._child: Child | None = None

    @property
    def child(self) -> Child:
        if self._child is None:
            raise ValueError("it does not run")
        return self._child

    def start(self) -> None:
        self._child = Child(self._command, output=self._folder / "output", folder=self._folder)
        self._child.wait_until(lambda: all(map(answers, self._ports)))

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None


def mailbox(folder: Path, port: int) -> Peer:
    """The backend that believes everybody."""
    home = folder / "mailbox"
    home.mkdir()
    server = Path(__file__).with_name("mailbox.py")
    return Peer(home, [sys.executable, server, str(port)], [port])


_NGINX = """\
load_module /usr/lib/nginx/modules/ngx_mail_module.so;
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
user nobody nogroup;
pid {folder}/pid;
error_log stderr crit;
events {{ worker_connections 19900; }}
"""
_NGINX_MAIL = """\
http {{
  access_log off;
  server {{
    listen 127.0.0.1:{auth};
    add_header Auth-Status OK;
    add_header Auth-Server 127.0.0.1;
{auth_ways}  }}
}}
mail {{
  server_name door.test;
  ssl_certificate {certificate.chain};
  ssl_certificate_key {certificate.key};
  imap_capabilities IMAP4rev1 SASL-IR LITERAL+;
  smtp_auth plain;
  xclient off;
  proxy_smtp_auth on;
  timeout 600s;
  proxy_timeout 600s;
{ways}}}
"""
_NGINX_AUTH_WAY = """\
    location /{port} {{ add_header Auth-Status OK; add_header Auth-Server 127.0.0.1;
      add_header Auth-Port {backend}; return 204; }}
"""
_NGINX_WAY = """\
  server {{ listen 127.0.0.1:{port} {tls}; protocol {protocol};
    auth_http 127.0.0.1:{auth}/{port}; }}
"""
_PROTOCOLS = {Speaks.IMAP: "imap", Speaks.SUBMISSION: "smtp"}


def nginx_mail(folder: Path, ways: Sequence[Way], pair: Certificate) -> Peer:
    """nginx as a mail proxy; whom it asks for the backend is itself, which costs it least."""
    auth = free_port()
    text = _NGINX.format(folder=folder) + _NGINX_MAIL.format(
        certificate=pair,
        auth=auth,
        auth_ways="".join(
            _NGINX_AUTH_WAY.format(port=way.port, backend=way.backend) for way in ways
        ),
        ways="".join(
            _NGINX_WAY.format(
                port=way.port,
                tls="ssl" if way.tls else "",
                protocol=_PROTOCOLS[way.speaks],
                auth=auth,
            )
            for way in ways
        ),
    )
    return _nginx(folder, text, [way.port for way in ways])


_NGINX_HTTP = """\
http {{
  access_log off;
  keepalive_requests 1000000;
  upstream backend {{ server 127.0.0.1:{backend}; keepalive 32; keepalive_requests 1000000; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://backend;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-For $remote_addr;
    }}
  }}
}}
"""
_NGINX_JMAP = """\
http {{
  access_log off;
  keepalive_requests 1000000;
  default_type application/json;
  absolute_redirect off;
  server {{
    listen 127.0.0.1:{port};
    location = /.well-known/jmap {{ return 301 /jmap/session; }}
    location = /jmap/session {{
      if ($http_authorization = "") {{ return 401; }}
      return 200 '{session}';
    }}
    location /jmap/api {{ return 200 '{answer}'; }}
  }}
}}
"""
_SESSION = (
    '{"capabilities":{},"accounts":{},"primaryAccounts":{},"username":"alice","state":"1",'
    '"apiUrl":"/jmap/api","downloadUrl":"/jmap/d","uploadUrl":"/jmap/u","eventSourceUrl":"/jmap/e"}'
)
_ANSWER = '{"methodResponses":[["Email/get",{"list":["' + "x" * 1_000 + '"]},"0"]]}'


def nginx_http(folder: Path, port: int, backend: int) -> Peer:
    """nginx as a reverse proxy."""
    text = _NGINX.format(folder=folder) + _NGINX_HTTP.format(port=port, backend=backend)
    return _nginx(folder, text, [port])


def jmap_server(folder: Path, port: int) -> Peer:
    """What stands in for a mail server that speaks JMAP: nginx with answers of 1 kB."""
    text = _NGINX_JMAP.format(port=port, session=_SESSION, answer=_ANSWER)
    return _nginx(folder, _NGINX.format(folder=folder) + text, [port])


def _nginx(folder: Path, text: str, ports: Sequence[int]) -> Peer:
    folder.mkdir()
    file = folder / "nginx.conf"
    file.write_text(text)
    return Peer(folder, [program("nginx"), "-e", "stderr", "-c", file], ports)


_HAPROXY = """\
global
  maxconn 9500
  nbthread 1
  ssl-default-bind-options ssl-min-ver TLSv1.2
defaults
  mode tcp
  timeout connect 5s
  timeout client 600s
  timeout server 600s
"""
_HAPROXY_WAY = """\
listen way{way.port}
  bind 127.0.0.1:{way.port} {tls}
  server backend 127.0.0.1:{way.backend}
"""


def haproxy(folder: Path, ways: Sequence[Way], pair: Certificate) -> Peer:
    """HAProxy in TCP mode: it sees no login, it only passes bytes on."""
    folder.mkdir()
    file = folder / "haproxy.cfg"
    file.write_text(
        _HAPROXY
        + "".join(
            _HAPROXY_WAY.format(way=way, tls=f"ssl crt {pair.both}" if way.tls else "")
            for way in ways
        )
    )
    return Peer(folder, [program("haproxy"), "-db", "-f", file], [way.port for way in ways])
