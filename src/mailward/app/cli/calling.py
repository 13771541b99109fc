"""HTTP over a Unix socket, or over TCP. Apart from the rest because it takes a while to load."""

from __future__ import annotations

import http.client
from collections.abc import Iterator, Mapping
from typing import Self

from mailward.app.cli.places import At, HttpUrl, SocketPath
from mailward.client.lines import UnixConnection

_ANSWER_SECONDS = 60.0


class BrokenAnswerError(Exception):
    """What came back is no HTTP, or was cut off."""


class UntrustedError(Exception):
    """There is no TLS as it should be; the message says why and what to do."""


class Answer:
    """An answer whose body can be read once; to be used as a context."""

    def __init__(self, line: http.client.HTTPConnection) -> None:
        self._line = line
        self._response = line.getresponse()

    @property
    def is_ok(self) -> bool:
        return self._response.status == http.client.OK

    @property
    def is_wrong(self) -> bool:
        """Whether the request itself is wrong, and nothing only stands in its way."""
        wrong = (http.client.BAD_REQUEST, http.client.UNPROCESSABLE_ENTITY)
        return self._response.status in wrong

    @property
    def is_unauthorized(self) -> bool:
        return self._response.status == http.client.UNAUTHORIZED

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._response.close()
        self._line.close()

    def body(self) -> bytes:
        """All of it.

        Raises:
            BrokenAnswerError: it was cut off.
        """
        try:
            return self._response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BrokenAnswerError(str(error)) from None

    def lines(self) -> Iterator[bytes]:
        """Its lines as they come, until it ends or is cut off."""
        try:
            while line := self._response.readline():
                yield line
        except (OSError, http.client.HTTPException):
            return


def send(
    at: At, method: str, target: str, body: bytes | None, headers: Mapping[str, str]
) -> Answer:
    """Make one request.

    Raises:
        OSError: nobody can be reached there.
        UntrustedError: TLS fails.
        BrokenAnswerError: what came back is no HTTP.
    """
    line = _line_to(at)
    usual = {"Connection": "close", "Content-Type": "application/json"}
    try:
        line.request(method, target, body=body, headers={**usual, **headers})
        return Answer(line)
    except ConnectionError:  # also what http.client makes of a connection that just ends
        line.close()
        raise
    except http.client.HTTPException as error:
        line.close()
        raise BrokenAnswerError(str(error)) from None
    except BaseException:
        line.close()
        raise


def _line_to(at: At) -> http.client.HTTPConnection:
    match at:
        case SocketPath(path):
            return UnixConnection(path, _ANSWER_SECONDS)
        case HttpUrl(is_encrypted=True) as url:
            return _TlsConnection(url)
        case HttpUrl() as url:
            return http.client.HTTPConnection(url.host, url.port, timeout=_ANSWER_SECONDS)


class _TlsConnection(http.client.HTTPSConnection):
    """Whose certificate is always checked, by the system's authorities or those of a file."""

    def __init__(self, url: HttpUrl) -> None:
        import ssl  # noqa: PLC0415 -- slow to load, and most commands need none

        try:
            context = ssl.create_default_context(cafile=url.ca)
        except (OSError, ssl.SSLError) as error:
            raise UntrustedError(
                f"{url.ca} has no certificates that can be read: {error}"
            ) from None
        super().__init__(url.host, url.port, timeout=_ANSWER_SECONDS, context=context)
        self._url = url

    def connect(self) -> None:
        import ssl  # noqa: PLC0415 -- the same

        try:
            super().connect()
        except ssl.SSLCertVerificationError as error:
            raise UntrustedError(
                f"the certificate of {self._url} is not trusted: {error.verify_message}; "
                "name the file of its authority with --ca"
            ) from None
        except ssl.SSLError as error:
            raise UntrustedError(
                f"{self._url} and this program agree on no TLS ({error.reason}); "
                "is it http: instead?"
            ) from None
