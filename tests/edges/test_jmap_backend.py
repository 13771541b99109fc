"""How the mail server behind a JMAP door is come by."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
import trustme

from mailward.backends.jmap import JmapUpstream
from mailward.backends.port import Client, Proven
from mailward.settings.configuration import ClientAddress, Encryption, Upstream, UpstreamTls
from mailward.wire.dialogue import Rejected, Unavailable
from mailward.wire.http.authorization import BasicCredentials
from mailward.wire.proxyline import TlsFacts, proxy_v1_header, proxy_v2_header
from mailward.wire.secret import Secret
from tests.edges.house import until
from tests.edges.web import JmapServer

both_loops = True

CLIENT = Client(
    (ip_address("198.51.100.1"), 50_000),
    (ip_address("192.0.2.1"), 443),
    TlsFacts("TLSv1.3", ""),
)
JOE = BasicCredentials(b"joe", Secret(b"right"))


def upstream(port: int, told: ClientAddress, tls: UpstreamTls | None = None) -> JmapUpstream:
    seconds = timedelta(seconds=5)
    settings = Upstream("b", "127.0.0.1", port, told, seconds, seconds, is_web=True)
    return JmapUpstream(replace(settings, tls=tls or UpstreamTls()), (), lambda _: None)


@pytest.mark.parametrize(
    ("told", "preface"),
    [
        (ClientAddress.PROXY_V1, proxy_v1_header(CLIENT.source, CLIENT.destination)),
        (ClientAddress.PROXY_V2, proxy_v2_header(CLIENT.source, CLIENT.destination, CLIENT.tls)),
    ],
)
async def test_a_proxy_header_goes_before_the_request(told: ClientAddress, preface: bytes) -> None:
    server, seen = JmapServer(), list[bytes]()

    async def expects(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readexactly(len(preface)))
        await server.serve(reader, writer)

    async with await asyncio.start_server(expects, "127.0.0.1", 0) as serving:
        asked = upstream(serving.sockets[0].getsockname()[1], told)
        assert await asked.prove(JOE, CLIENT, b"mail.test") == Proven()
        assert set(seen) == {preface}
        assert "forwarded" not in server.requests[-1].fields
        await until(lambda: not server.open)


async def test_https_proves_who_the_server_is(tmp_path: Path) -> None:
    authority, context = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    server = JmapServer()
    async with await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context) as serving:
        port = serving.sockets[0].getsockname()[1]
        right = UpstreamTls(Encryption.IMPLICIT, str(ca))
        asked = upstream(port, ClientAddress.FORWARDED, right)
        assert await asked.prove(JOE, CLIENT, b"mail.test") == Proven()
        wrong = BasicCredentials(b"joe", Secret(b"wrong"))
        assert await asked.prove(wrong, CLIENT, b"mail.test") == Rejected()
        assert server.requests[-1].one("forwarded") == "for=198.51.100.1;proto=https"
        other = replace(right, server_name="other.test")
        unproven = upstream(port, ClientAddress.NONE, other)
        answer = await unproven.prove(JOE, CLIENT, b"mail.test")
        assert isinstance(answer, Unavailable)
        assert "is not for other.test" in answer.why
        await until(lambda: not server.open)
