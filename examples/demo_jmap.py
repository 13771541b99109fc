"""A stand-in for a JMAP server, for `make demo-servers`: it knows passwords, and holds no mail.

It has what a door needs to be shown with: a session resource (RFC 8620 section 2) that is for those
with a right password, and Core/echo. Debian's Dovecot speaks no JMAP; Cyrus and Stalwart do.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

CORE = "urn:ietf:params:jmap:core"
MAX_OCTETS = 100_000
SESSION = {
    "capabilities": {
        CORE: {
            "maxSizeUpload": 0,
            "maxConcurrentUpload": 1,
            "maxSizeRequest": MAX_OCTETS,
            "maxConcurrentRequests": 4,
            "maxCallsInRequest": 16,
            "maxObjectsInGet": 1,
            "maxObjectsInSet": 1,
            "collationAlgorithms": [],
        }
    },
    "accounts": {},
    "primaryAccounts": {},
    "apiUrl": "/jmap/",
    "downloadUrl": "/jmap/download/{accountId}/{blobId}/{name}?type={type}",
    "uploadUrl": "/jmap/upload/{accountId}/",
    "eventSourceUrl": "/jmap/events/?types={types}&closeafter={closeafter}&ping={ping}",
    "state": "0",
}


class DemoJmap:
    """It listens on *port* of loopback, for the logins and passwords of *accounts*."""

    def __init__(self, accounts: Mapping[str, str], port: int) -> None:
        self._logins = {
            "Basic " + b64encode(f"{login}:{password}".encode()).decode(): login
            for login, password in accounts.items()
        }
        self._port = port
        self._server: ThreadingHTTPServer | None = None

    def start(self) -> None:
        logins = self._logins

        class Request(_Request):
            def login(self) -> str | None:
                return logins.get(self.headers.get("Authorization", ""))

        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), Request)
        Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None


class _Request(BaseHTTPRequestHandler):
    """One connection; who is logged in is said by its subclass."""

    protocol_version = "HTTP/1.1"

    def login(self) -> str | None:
        raise NotImplementedError

    def do_GET(self) -> None:
        login = self.login()
        if login is None:
            self._answer(HTTPStatus.UNAUTHORIZED, {})
        elif self.path in {"/.well-known/jmap", "/jmap/"}:
            self._answer(HTTPStatus.OK, SESSION | {"username": login})
        else:
            self._answer(HTTPStatus.NOT_FOUND, {})

    def do_POST(self) -> None:
        self.close_connection = True  # whatever is not read of the body ends with it
        length = self.headers.get("Content-Length", "")
        if self.login() is None:
            self._answer(HTTPStatus.UNAUTHORIZED, {})
        elif not length.isdecimal() or int(length) > MAX_OCTETS:
            self._answer(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, {})
        else:
            self._call(self.rfile.read(int(length)))

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- its name above
        """Say nothing: mailward tells what happens."""

    def _call(self, body: bytes) -> None:
        """Core/echo (RFC 8620 section 4); any other method is unknown here."""
        responses = []
        try:
            for name, arguments, call in json.loads(body)["methodCalls"]:
                echoes = name == "Core/echo"
                told = arguments if echoes else {"type": "unknownMethod"}
                responses.append([name if echoes else "error", told, call])
        except (ValueError, TypeError, KeyError):
            error = {"type": "urn:ietf:params:jmap:error:notRequest", "status": 400}
            self._answer(HTTPStatus.BAD_REQUEST, error)
            return
        self._answer(HTTPStatus.OK, {"methodResponses": responses, "sessionState": "0"})

    def _answer(self, status: HTTPStatus, body: Mapping[str, object]) -> None:
        octets = json.dumps(body).encode()
        with suppress(ConnectionError):
            self.send_response(status)
            if status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Basic realm="demo"')
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(octets)))
            self.end_headers()
            self.wfile.write(octets)
