"""A long run of mixed load: nothing may grow but what is asked to be kept.

    python -m bench.soak --minutes 60

Good users, guessers, floods, silent and broken connections, reports, bans by hand and reloads come
to all four doors at once, at rates far below what the machine can do, and stop by themselves. Every
ten seconds memory, descriptors, threads and tasks are looked at. The window of the limit is five
minutes, so after ten the same number of failures comes as goes: from then on nothing may grow.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import sys
import threading
import time
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.harness.clients import Place
from bench.harness.daemon import Daemon
from bench.harness.figures import percentile
from bench.harness.machine import circumstances
from bench.harness.peers import certificate
from bench.harness.usage import cpu_seconds_of, descriptors, pss_octets, rss_octets
from mailward.app.clock import SteadyClock
from tests.real.attack import Door, ImapFrom, Line, Service, Told, guess
from tests.real.processes import Child, answers, eventually, free_port, private_folder
from tests.real.servers import Dovecot, Postfix, program, running

_FOLDER = Path(__file__).resolve().parent
RESULTS = _FOLDER / "results" / "soak.json"
WATCHED = _FOLDER / "harness" / "watched.py"
SAMPLE_SECONDS = 10.0
SETTLED_MINUTES = 10.0
"""Until then what is kept of the window fills up."""
MOST_GROWTH = 1.02
"""Of the median of the last minutes to that of the first that count: beyond it something leaks."""

ACCOUNTS = {f"user{number}": f"right-{number}" for number in range(20)}
ATTACKERS = 300
NAMES = 400
_MESSAGE = b"Subject: soak\r\n\r\n" + b"All is well.\r\n" * 150

_CONFIGURATION = """\
[server]
hostname = "soak.test"

[server.security]
fail2ban = "20/5m"
ban-period = "2m"
login-timeout = "10s"
max-tracked = 1000

[server.listener.imap]
protocol = "imap"
bind = ["127.0.0.1:{imap}"]
backend = "dovecot"

[server.listener.imaps]
protocol = "imap"
bind = ["127.0.0.1:{imaps}"]
backend = "dovecot"
tls.implicit = true

[server.listener.submission]
protocol = "submission"
bind = ["127.0.0.1:{submission}"]
backend = "postfix"

[server.listener.managesieve]
protocol = "managesieve"
bind = ["127.0.0.1:{managesieve}"]
backend = "pigeonhole"

[server.listener.jmap]
protocol = "jmap"
bind = ["127.0.0.1:{jmap}"]
backend = "web"
paths = {{ "/jmap/" }}

[backend.dovecot]
address = "127.0.0.1:{dovecot}"
client-address = "proxy-v2"

[backend.postfix]
address = "127.0.0.1:{postfix}"
client-address = "proxy-v2"

[backend.pigeonhole]
address = "127.0.0.1:{pigeonhole}"
client-address = "proxy-v2"

[backend.web]
address = "http://127.0.0.1:{web}"
client-address = "forwarded"

[certificate.default]
cert = "{pair.chain}"
private-key = "{pair.key}"
"""
_NGINX = """\
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log;
worker_processes 1;
events {{ worker_connections 500; }}
http {{
  access_log off;
  client_body_temp_path {folder}/nginx-body;
  proxy_temp_path {folder}/nginx-proxy;
  fastcgi_temp_path {folder}/nginx-fastcgi;
  uwsgi_temp_path {folder}/nginx-uwsgi;
  scgi_temp_path {folder}/nginx-scgi;
  server {{
    listen 127.0.0.1:{port};
    auth_basic "mail";
    auth_basic_user_file {folder}/nginx-accounts;
    location /.well-known/jmap {{ return 301 /jmap/; }}
    location /jmap/ {{
      default_type application/json;
      alias {folder}/session/;
      index session.json;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Sample:
    """What one look showed."""

    seconds: float
    rss_mb: float
    pss_mb: float
    cpu_seconds: float
    descriptors: int
    threads: int
    tasks: int
    longest_gap_ms: float
    connections: int
    subjects: int
    bans: int


class Scene:
    """The daemon with its servers, and how one gets to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.dovecot = Dovecot(folder, ACCOUNTS)
        self.postfix = Postfix(folder, self.dovecot.sasl_socket)
        self.doors = {service: Door(service, free_port()) for service in Service}
        self.jmap = free_port()
        self._pair = certificate(folder)
        self.over_tls = Place(
            free_port(), tls=self._pair.client(), login="user0", password=ACCOUNTS["user0"]
        )
        self._web = free_port()
        self._watched = folder / "watched.json"
        ports = {service.value: door.port for service, door in self.doors.items()}
        configuration = _CONFIGURATION.format(
            **ports,
            jmap=self.jmap,
            imaps=self.over_tls.port,
            pair=self._pair,
            dovecot=self.dovecot.haproxy_port,
            postfix=self.postfix.haproxy_port,
            pigeonhole=self.dovecot.sieve_haproxy_port,
            web=self._web,
        )
        self.daemon = Daemon(
            folder / "door", configuration, (sys.executable, WATCHED, self._watched)
        )
        self._nginx: Child | None = None

    def start(self) -> None:
        self._start_nginx()
        self.daemon.start()
        self.daemon.wait_for_backends()
        eventually(self._watched.exists, "somebody watches the loop")

    def stop(self) -> None:
        self.daemon.stop()
        if self._nginx is not None:
            self._nginx.terminate(within_seconds=60)
            self._nginx = None

    def look(self, began: float) -> Sample:
        seen = json.loads(self._watched.read_text())
        child = self.daemon.child
        return Sample(
            seconds=round(time.monotonic() - began, 1),
            rss_mb=round(rss_octets(child) / 1e6, 2),
            pss_mb=round(pss_octets(child) / 1e6, 2),
            cpu_seconds=round(cpu_seconds_of(child.pid), 1),
            descriptors=descriptors(child.pid),
            threads=len(list(Path(f"/proc/{child.pid}/task").iterdir())),
            tasks=seen["tasks"],
            longest_gap_ms=seen["longest_gap_ms"],
            connections=self._metric("mailward_connections{"),
            subjects=self._metric("mailward_subjects{"),
            bans=self.daemon.told("/api/status")["bans"]["all"],
        )

    def _metric(self, start: str) -> int:
        _, said = self.daemon.ask("GET", "/metrics")
        lines = said.decode().splitlines()
        return sum(int(line.rpartition(" ")[2]) for line in lines if line.startswith(start))

    def _start_nginx(self) -> None:
        (self.folder / "session").mkdir()
        session = {"apiUrl": "/jmap/", "capabilities": {}, "accounts": {}, "username": "user"}
        (self.folder / "session" / "session.json").write_text(json.dumps(session))
        (self.folder / "nginx-accounts").write_text(
            "".join(f"{name}:{{PLAIN}}{password}\n" for name, password in ACCOUNTS.items())
        )
        (self.folder / "nginx.conf").write_text(_NGINX.format(folder=self.folder, port=self._web))
        self._nginx = Child(
            [program("nginx"), "-e", "stderr", "-c", self.folder / "nginx.conf"],
            output=self.folder / "nginx-output",
            folder=self.folder,
        )
        self._nginx.wait_until(lambda: answers(self._web))


class Load:
    """All that comes to the doors, each kind at a rate of its own, until it is told to end."""

    def __init__(self, place: Scene, dice: random.Random) -> None:
        self._place = place
        self._dice = dice
        self._clock = SteadyClock()
        self._over = threading.Event()
        self.counts: Counter[str] = Counter()
        self._threads = [
            threading.Thread(target=self._keep_doing, args=(what, per_second))
            for what, per_second in self._kinds()
        ]

    def _kinds(self) -> Iterator[tuple[Callable[[], str], float]]:
        yield self._read_mail, 2.0
        yield self._read_over_tls, 2.0
        yield self._idle, 0.2
        yield self._send_mail, 1.0
        yield self._look_at_scripts, 1.0
        yield self._ask_web, 4.0
        for _ in range(3):
            yield self._guess, 8.0
        yield self._guess_web, 4.0
        yield self._flood, 40.0
        yield self._be_silent, 1.0
        yield self._talk_garbage, 2.0
        yield self._break_off, 2.0
        yield self._report, 0.5
        yield self._ban_and_lift, 0.5
        yield self._reload, 1 / 60
        yield self._look_around, 0.5

    @contextmanager
    def going_on(self) -> Iterator[None]:
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in self._threads:
                thread.join()

    def _keep_doing(self, what: Callable[[], str], per_second: float) -> None:
        name = what.__name__.strip("_")
        while not self._over.is_set():
            began = time.monotonic()
            try:
                came = what()
            except OSError as error:
                came = type(error).__name__
            self.counts[f"{name}: {came}"] += 1
            self._over.wait(max(0.0, 1 / per_second - (time.monotonic() - began)))

    # -- good users, from addresses of their own ----------------------------------------------

    def _who(self) -> tuple[str, str, str]:
        name = self._dice.choice(list(ACCOUNTS))
        return name, ACCOUNTS[name], f"127.2.0.{1 + int(name.removeprefix('user'))}"

    def _read_mail(self) -> str:
        name, password, source = self._who()
        with ImapFrom(self._place.doors[Service.IMAP], source) as client:
            client.login(name, password)
            client.append("INBOX", "", "", _MESSAGE)
            client.select()
            client.fetch("1:*", "(FLAGS BODY.PEEK[])")
            client.store("1:*", "+FLAGS", "(\\Deleted)")
            client.expunge()
        return "done"

    def _read_over_tls(self) -> str:
        line = self._place.over_tls.log_in("127.2.0.99")
        line.sendall(b"n SELECT INBOX\r\n")
        line.recv(4_096)
        self._place.over_tls.leave(line)
        return "done"

    def _idle(self) -> str:
        name, password, source = self._who()
        with Line(self._place.doors[Service.IMAP], source=source) as line:
            line.hear()
            line.say(f"a LOGIN {name} {password}\r\nb SELECT INBOX\r\nc IDLE\r\n".encode())
            line.hear(b"+ idling\r\n")
            self._over.wait(3.0)
            line.say(b"DONE\r\nd LOGOUT\r\n")
            line.hear_all()
        return "done"

    def _send_mail(self) -> str:
        name, password, source = self._who()
        return guess(self._place.doors[Service.SUBMISSION], name, password, source=source).value

    def _look_at_scripts(self) -> str:
        name, password, source = self._who()
        return guess(self._place.doors[Service.MANAGESIEVE], name, password, source=source).value

    def _ask_web(self) -> str:
        name, password, source = self._who()
        return self._web(name, password, source, times=3)

    def _web(self, name: str, password: str, source: str, *, times: int) -> str:
        token = b64encode(f"{name}:{password}".encode()).decode()
        line = http.client.HTTPConnection("127.0.0.1", self._place.jmap, 30, (source, 0))
        with closing(line):
            try:
                for _ in range(times):
                    line.request("GET", "/jmap/", headers={"Authorization": f"Basic {token}"})
                    answer = line.getresponse()
                    answer.read()
            except (http.client.HTTPException, ConnectionError):
                return Told.DROPPED.value
        return str(answer.status)

    # -- those who are not good ---------------------------------------------------------------

    def _attacker(self) -> str:
        number = self._dice.randrange(ATTACKERS)
        return f"127.10.{number // 250}.{1 + number % 250}"

    def _guess(self) -> str:
        door = self._place.doors[self._dice.choice(list(Service))]
        name = f"name{self._dice.randrange(NAMES)}"
        return guess(door, name, "wrong", source=self._attacker()).value

    def _guess_web(self) -> str:
        name = f"name{self._dice.randrange(NAMES)}"
        return self._web(name, "wrong", self._attacker(), times=1)

    def _flood(self) -> str:
        """Two addresses that try until they are banned, and go on."""
        source = self._dice.choice(["127.11.0.1", "127.11.0.2"])
        name = f"flood{self._dice.randrange(NAMES)}"
        return guess(self._place.doors[Service.IMAP], name, "wrong", source=source).value

    def _be_silent(self) -> str:
        """Eleven seconds: a second longer than anybody may take to log in. Nobody waits for it."""
        door = self._dice.choice(list(self._place.doors.values()))
        line = Line(door, source=self._attacker())
        timer = threading.Timer(11.0, line.__exit__, (None, None, None))
        timer.daemon = True
        timer.start()
        return "left waiting"

    def _talk_garbage(self) -> str:
        door = self._dice.choice(
            [*self._place.doors.values(), Door(Service.IMAP, self._place.jmap)]
        )
        with Line(door, source=self._attacker()) as line:
            with suppress(ConnectionError):
                line.say(self._dice.randbytes(self._dice.randrange(1, 20_000)) + b"\r\n\r\n")
            line.take()
        return "done"

    def _break_off(self) -> str:
        """Leave in the middle of a login, with a reset."""
        door = self._dice.choice(list(self._place.doors.values()))
        with Line(door, source=self._attacker()) as line:
            line.take()
            with suppress(ConnectionError):
                line.say(b"a LOGIN {5}\r\n" if self._dice.random() < 0.5 else b"AUTH PLAIN\r\n")
        return "done"

    # -- operators, and programs that report --------------------------------------------------

    def _ask(self, method: str, path: str, body: Mapping[str, object] | None = None) -> bytes:
        return self._place.daemon.ask(method, path, body)[1]

    def _report(self) -> str:
        reports = [
            {
                "address": self._attacker(),
                "login": f"name{self._dice.randrange(NAMES)}",
                "service": "vpn",
                "id": f"{self._dice.getrandbits(64):x}",
                "time": self._clock() - self._dice.random() * 60,
            }
            for _ in range(10)
        ]
        told = json.loads(self._ask("POST", "/api/failures", {"reports": reports}))
        return f"{told['accepted']} accepted"

    def _ban_and_lift(self) -> str:
        subject = f"198.51.100.{self._dice.randrange(256)}"
        self._ask("POST", "/api/bans", {"subject": subject, "for": "1m"})
        self._ask("DELETE", f"/api/bans/{subject}")
        return "done"

    def _reload(self) -> str:
        return str(json.loads(self._ask("POST", "/api/reload"))["message"])

    def _look_around(self) -> str:
        self._ask("GET", "/api/bans?limit=100&sort=failures")
        self._ask("GET", "/api/top")
        self._ask("GET", f"/api/why/{self._attacker()}")
        return "done"


def soak(minutes: float) -> tuple[list[Sample], Counter[str]]:
    """Every look, and what came of all that was done."""
    with private_folder() as folder:
        place = Scene(folder)
        with running(place.dovecot, place.postfix, place):
            load = Load(place, random.Random(42))
            samples: list[Sample] = []
            began = time.monotonic()
            with load.going_on():
                while time.monotonic() - began < minutes * 60:
                    time.sleep(SAMPLE_SECONDS)
                    samples.append(place.look(began))
                    _show(samples[-1])
            # Who is still there leaves within login-timeout; what stays then is there for good.
            eventually(
                lambda: place.look(began).connections == 0, "all have gone", within_seconds=60
            )
            samples.append(place.look(began))
            return samples, load.counts


def growth(samples: Sequence[Sample], name: str) -> float | None:
    """The last quarter's median of *name* to that of the quarter after it has settled."""
    settled = [getattr(s, name) for s in samples[:-1] if s.seconds >= SETTLED_MINUTES * 60]
    if len(settled) < 8:
        return None
    quarter = len(settled) // 4
    first, last = settled[:quarter], settled[-quarter:]
    return percentile(last, 0.5) / (percentile(first, 0.5) or 1)


def _show(sample: Sample) -> None:
    print(
        f"{sample.seconds / 60:5.1f} min: {sample.rss_mb:.1f} MB, {sample.descriptors} descriptors,"
        f" {sample.tasks} tasks, {sample.connections} connections, {sample.subjects} subjects,"
        f" {sample.bans} bans, gap {sample.longest_gap_ms} ms",
        file=sys.stderr,
        flush=True,
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long; default: 60")
    parser.add_argument("--results", type=Path, default=RESULTS, help="file for the figures")
    given = parser.parse_args()
    before = circumstances()
    samples, counts = soak(given.minutes)
    names = ("rss_mb", "descriptors", "tasks", "threads")
    grown = {name: growth(samples, name) for name in names}
    given.results.parent.mkdir(parents=True, exist_ok=True)
    kept = before | {
        "minutes": given.minutes,
        "growth": grown,
        "fields": list(Sample.__dataclass_fields__),
        "samples": [[getattr(s, name) for name in Sample.__dataclass_fields__] for s in samples],
        "done": dict(sorted(counts.items())),
    }
    given.results.write_text(json.dumps(kept) + "\n")
    for name, ratio in grown.items():
        if ratio is None:
            said = f"not judged: it takes more than {SETTLED_MINUTES:.0f} minutes"
        else:
            said = f"x {ratio:.3f} {'is no growth' if ratio <= MOST_GROWTH else 'HAS GROWN'}"
        print(f"{name}: {said}")
    print(f"after all had gone: {samples[-1].descriptors} descriptors, {samples[-1].tasks} tasks")
    for kind, count in sorted(counts.items()):
        print(f"  {kind}: {count:,}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
