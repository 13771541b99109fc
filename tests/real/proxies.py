"""HAProxy and nginx before the doors, as load balancers: they tell the client by a PROXY header.

Where they speak HTTP they tell it by a field of each request. Each comes to the doors from an
address of its own, so it can be trusted alone.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.real.processes import Child, answers, free_port
from tests.real.servers import program

CHECKS_SECONDS = 0.1  # between two health checks of a door
HAPROXY_ADDRESS = "127.0.9.8"
NGINX_ADDRESS = "127.0.9.9"


@dataclass(frozen=True, slots=True)
class Way:
    """From a port of the proxy to a door. A health check knows it by *words* that it says first.

    At a door that waits to be asked the check *asks*, as HAProxy spells it.
    """

    name: str
    door: int
    words: str
    is_tls: bool = False
    asks: str = ""
    port: int = field(default_factory=free_port)


_HAPROXY = """\
global
  maxconn 1000
  stats socket {folder}/stats
defaults
  mode tcp
  option tcp-check
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s
"""
_HAPROXY_WAY = """\
listen {name}
  bind 127.0.0.1:{port}
  {asks}
  tcp-check expect string '{words}'
  default-server check check-send-proxy inter {milliseconds} {tls}
  server door 127.0.0.1:{door} source {source} {header}
"""


class HaProxy:
    """HAProxy with a port for each of *ways*; *header* is its own word for what it sends."""

    def __init__(self, folder: Path, ways: Sequence[Way], header: str = "send-proxy-v2") -> None:
        self._folder = folder / "haproxy"
        self._folder.mkdir()
        self._ways = ways
        self._child: Child | None = None
        (self._folder / "haproxy.cfg").write_text(
            _HAPROXY.format(folder=self._folder)
            + "".join(
                _HAPROXY_WAY.format(
                    name=way.name,
                    port=way.port,
                    door=way.door,
                    source=HAPROXY_ADDRESS,
                    milliseconds=int(1000 * CHECKS_SECONDS),
                    header=header,
                    words=way.words,
                    asks=f"tcp-check send {way.asks}" if way.asks else "",
                    tls="check-ssl verify none" if way.is_tls else "",
                )
                for way in ways
            )
        )

    def start(self) -> None:
        child = Child(
            [program("haproxy"), "-db", "-f", self._folder / "haproxy.cfg"],
            output=self._folder / "output",
            folder=self._folder,
        )
        self._child = child
        child.wait_until(lambda: all(answers(way.port) for way in self._ways))

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None

    def checks(self) -> Mapping[str, str]:
        """How the last health check of each way ended, as HAProxy calls it."""
        return {name: row["check_status"].removeprefix("* ") for name, row in self._doors().items()}

    def failed_checks(self) -> int:
        return sum(int(row["chkfail"]) for row in self._doors().values())

    def _doors(self) -> Mapping[str, Mapping[str, str]]:
        """What HAProxy knows of the door of each way."""
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self._folder / "stats"))
            line.sendall(b"show stat\n")
            told = b"".join(iter(lambda: line.recv(65_536), b"")).decode()
        names, *rows = (row.split(",") for row in told.removeprefix("# ").splitlines() if row)
        tables = [dict(zip(names, row, strict=False)) for row in rows]
        return {row["pxname"]: row for row in tables if row["svname"] == "door"}


_NGINX = """\
load_module /usr/lib/nginx/modules/ngx_stream_module.so;
daemon off;
worker_processes 1;
user nobody nogroup;
pid {folder}/pid;
error_log stderr;
events {{
  worker_connections 500;
}}
stream {{
  proxy_protocol on;
  proxy_bind {source};
{ways}}}
"""
_NGINX_WAY = """\
  server {{
    listen 127.0.0.1:{port};
    proxy_pass 127.0.0.1:{door};
  }}
"""


class Nginx:
    """nginx with a port for each of *ways*; it sends version 1."""

    def __init__(self, folder: Path, ways: Sequence[Way]) -> None:
        self._folder = folder / "nginx"
        self._folder.mkdir()
        self._ways = ways
        self._child: Child | None = None
        (self._folder / "nginx.conf").write_text(
            _NGINX.format(
                folder=self._folder,
                source=NGINX_ADDRESS,
                ways="".join(_NGINX_WAY.format(port=way.port, door=way.door) for way in ways),
            )
        )

    def start(self) -> None:
        child = Child(
            [program("nginx"), "-e", "stderr", "-c", self._folder / "nginx.conf"],
            output=self._folder / "output",
            folder=self._folder,
        )
        self._child = child
        child.wait_until(lambda: all(answers(way.port) for way in self._ways))

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child = None


_NGINX_HTTP = """\
daemon off;
worker_processes 1;
user nobody nogroup;
pid {folder}/pid;
error_log stderr;
events {{
  worker_connections 100;
}}
http {{
  access_log off;
  client_max_body_size 0;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  upstream door {{
    server 127.0.0.1:{door};
    keepalive 4;
  }}
  server {{
    listen 127.0.0.1:{port} ssl http2;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    location / {{
      proxy_pass http://door;
      proxy_http_version 1.1;
      proxy_bind {source};
      proxy_set_header Host $host;
      proxy_set_header Connection "";
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header {told};
    }}
  }}
}}
"""
_HAPROXY_HTTP = """\
global
  maxconn 1000
  stats socket {folder}/stats
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  timeout check 5s
listen web
  bind 127.0.0.1:{port} ssl crt {certificate} alpn h2,http/1.1
  {told}
  http-request set-header X-Forwarded-Proto https
  option httpchk
  http-check send meth GET uri /.well-known/jmap ver HTTP/1.1 hdr Host localhost
  http-check expect status 301,307,401
  server door 127.0.0.1:{door} source {source} check inter {milliseconds} {header}
"""


class HttpProxy:
    """HAProxy or nginx that speaks HTTP: TLS ends there, and each request names its client.

    *told* is the field that does so, as it calls it. It can send a PROXY *header*, too (HAProxy).
    """

    def __init__(
        self, folder: Path, kind: str, door: int, certificate: Path, told: str, header: str = ""
    ) -> None:
        self.port = free_port()
        self.address = HAPROXY_ADDRESS if kind == "haproxy" else NGINX_ADDRESS
        self._folder = folder / f"{kind}-http"
        self._folder.mkdir()
        self._kind = kind
        self._child: Child | None = None
        template = _HAPROXY_HTTP if kind == "haproxy" else _NGINX_HTTP
        (self._folder / "conf").write_text(
            template.format(
                folder=self._folder,
                port=self.port,
                door=door,
                certificate=certificate,
                source=self.address,
                told=told,
                header=header,
                milliseconds=int(1000 * CHECKS_SECONDS),
            )
        )

    def start(self) -> None:
        words = ["-db", "-f"] if self._kind == "haproxy" else ["-e", "stderr", "-c"]
        child = Child(
            [program(self._kind), *words, self._folder / "conf"],
            output=self._folder / "output",
            folder=self._folder,
        )
        self._child = child
        child.wait_until(lambda: answers(self.port))

    def stop(self) -> None:
        if self._child is not None:
            self._child.kill()
            self._child = None
