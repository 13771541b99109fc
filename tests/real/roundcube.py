"""Roundcube, run by PHP's own server in the root that has it, and a browser that uses it."""

from __future__ import annotations

import http.client
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlencode

from tests.real.processes import Child, answers, free_port
from tests.real.servers import program

_PROGRAM = "/usr/share/roundcube"
_PUBLIC = "/var/lib/roundcube/public_html"
_CONFIGURATION = """\
<?php
$config['db_dsnw'] = 'sqlite:///{folder}/roundcube.db?mode=0640';
$config['log_dir'] = '{folder}/logs/';
$config['temp_dir'] = '{folder}/temp/';
$config['des_key'] = 'four-and-twenty-letters!';
$config['mail_domain'] = 'postfix.test';
"""
_TOKEN = re.compile(r'name="_token" value="([^"]+)"|"request_token":"([^"]+)"')
_COOKIE = re.compile(r"([^=;]+)=([^;]*)")


class Roundcube:
    """At :attr:`port`. Its *folder* is to be one that *root* shares."""

    def __init__(self, root: Path, folder: Path, *, authority: Path) -> None:
        """*authority* is the file of those who may vouch for mail servers."""
        self.port = free_port()
        self._root = root
        self._folder = folder / "roundcube"
        self._authority = authority
        self._child: Child | None = None

    def start(self) -> None:
        """An installation of its own: what Debian has made, with another configuration."""
        for name in ("config", "logs", "temp", "plugins", "public_html"):
            (self._folder / name).mkdir(parents=True)
        for name in ("SQL", "program", "skins", "index.php"):
            (self._folder / name).symlink_to(f"{_PROGRAM}/{name}")
        for name in ("filesystem_attachments", "jqueryui", "managesieve"):
            (self._folder / "plugins" / name).symlink_to(f"{_PROGRAM}/plugins/{name}")
        for name in ("skins", "program", "plugins"):
            (self._folder / "public_html" / name).symlink_to(f"../{name}")
        shutil.copy(self._root / _PUBLIC[1:] / "index.php", self._folder / "public_html")
        for name in ("defaults.inc.php", "mimetypes.php"):
            shutil.copy(self._root / "etc" / "roundcube" / name, self._folder / "config")
        self.configure("")
        for path in (self._folder, self._folder / "logs", self._folder / "temp"):
            shutil.chown(path, "www-data", "www-data")
        child = Child(
            [
                program("chroot"),
                "--userspec=www-data:www-data",
                self._root,
                # A changed configuration is seen at once.
                *["php", "-d", "opcache.enable=0", "-d", f"openssl.cafile={self._authority}"],
                *["-S", f"127.0.0.1:{self.port}", "-t"],
                self._folder / "public_html",
            ],
            output=self._folder / "output",
            folder=self._folder,
        )
        self._child = child
        child.wait_until(lambda: answers(self.port))

    def stop(self) -> None:
        if self._child is not None:
            self._child.terminate()
            self._child = None

    def configure(self, settings: str) -> None:
        """Give it these *settings*, in PHP, from its next answer on."""
        text = _CONFIGURATION.format(folder=self._folder) + settings
        (self._folder / "config" / "config.inc.php").write_text(text)

    def add_plugin(self, name: str, text: str) -> None:
        folder = self._folder / "plugins" / name
        folder.mkdir()
        (folder / f"{name}.php").write_text(text)

    def said(self) -> str:
        """All that it wrote into its logs."""
        return "".join(file.read_text() for file in sorted((self._folder / "logs").iterdir()))


class Browser:
    """Somebody at *source* with a browser: follows no script, keeps cookies."""

    def __init__(self, port: int, source: str) -> None:
        self._port = port
        self._source = source
        self._cookies: dict[str, str] = {}
        self._token = ""

    def log_in(self, login: str, password: str) -> tuple[int, str]:
        """Fill in the form; the status and the page that follow."""
        self._ask("GET", "/")
        fields = {"_task": "login", "_action": "login", "_user": login, "_pass": password}
        return self._ask("POST", "/?_task=login", {**fields, "_timezone": "UTC"})

    def open(self, path: str) -> str:
        """A page of a user who is logged in."""
        status, page = self._ask("GET", path)
        assert status == http.client.OK, (status, page)
        return page

    def send(self, recipient: str, subject: str) -> str:
        """Write a mail; the page that tells what became of it."""
        page = self.open("/?_task=mail&_action=compose")
        (compose_id,) = set(re.findall(r'name="_id" value="([^"]+)"', page))
        (sender,) = re.findall(r'<option value="(\d+)"[^>]*>[^<]*@postfix.test', page)
        fields = {"_task": "mail", "_action": "send", "_id": compose_id, "_from": sender}
        fields |= {"_to": recipient, "_subject": subject, "_message": "hello", "_is_html": "0"}
        status, page = self._ask("POST", "/?_task=mail&_action=send&_framed=1", fields)
        assert status == http.client.OK, (status, page)
        return page

    def _ask(
        self, method: str, path: str, fields: Mapping[str, str] | None = None
    ) -> tuple[int, str]:
        line = http.client.HTTPConnection(
            "127.0.0.1", self._port, timeout=30, source_address=(self._source, 0)
        )
        headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in self._cookies.items())}
        body = None
        if fields is not None:
            body = urlencode({**fields, "_token": self._token})
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            page = answer.read().decode(errors="replace")
        finally:
            line.close()
        for cookie in answer.headers.get_all("Set-Cookie", []):
            if found := _COOKIE.match(cookie):
                self._cookies[found[1]] = found[2]
        if found := _TOKEN.search(page):
            self._token = found[1] or found[2]
        if answer.status == http.client.FOUND and method == "GET":
            return self._ask("GET", answer.headers["Location"].removeprefix("."))
        return answer.status, page
