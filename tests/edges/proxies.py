"""What the tests of proxies share: a house whose doors expect PROXY headers, and their senders."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from ipaddress import ip_address

import trustme

from mailward.edges.tls import ServerCertificate
from mailward.rules.addresses import NetworkTable, parse_network
from mailward.rules.model import Network
from mailward.settings.configuration import ClientAddress, DoorLimits, DoorTls, Listener, Upstream
from mailward.wire.proxyline import SIGNATURE, TlsFacts, proxy_v1_header, proxy_v2_header
from tests.edges.house import Premises, open_house, policy

PROXY, STRANGER = "127.0.0.1", "127.0.0.9"
CLIENT, OTHER = "203.0.113.9", "203.0.113.10"
DOOR = (ip_address("192.0.2.1"), 143)
LOCAL = SIGNATURE + bytes.fromhex("20000000")
TLS = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256")


def trusted(*networks: str) -> NetworkTable[Network]:
    table: NetworkTable[Network] = NetworkTable()
    for network in map(parse_network, networks):
        table.put(network, network)
    return table


def binary(client: str, tls: TlsFacts | None = None) -> bytes:
    return proxy_v2_header((ip_address(client), 50_000), DOOR, tls)


def line(client: str) -> bytes:
    return proxy_v1_header((ip_address(client), 50_000), DOOR)


@asynccontextmanager
async def behind_proxy(
    limit: str = "3/1h",
    doors: DoorLimits | None = None,
    tls: DoorTls | None = None,
    authority: trustme.CA | None = None,
    told: ClientAddress = ClientAddress.NONE,
    *,
    allow_plaintext: bool | None = True,
) -> AsyncIterator[Premises]:
    """A house whose doors are for the proxy at 127.0.0.1; *told*: how its backends learn of it."""

    def proxied(usual: Listener) -> Listener:
        return replace(usual, proxy_protocol=True, allow_plaintext=allow_plaintext)

    def behind(usual: Upstream) -> Upstream:
        return replace(usual, client_address=told)

    certificates = {} if authority is None else {"default": certificate(authority)}
    rules = policy(limit, trusted=trusted(PROXY))
    async with open_house(
        rules, doors, tls=tls, certificates=certificates, before=proxied, behind=behind
    ) as house:
        yield house


def certificate(authority: trustme.CA) -> ServerCertificate:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("mail.test").configure_cert(context)
    return ServerCertificate(context, frozenset({"mail.test"}))


async def begin_tls(writer: asyncio.StreamWriter, authority: trustme.CA) -> None:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    async with asyncio.timeout(5):
        await writer.start_tls(context, server_hostname="mail.test")


async def login(
    house: Premises,
    preface: bytes,
    name: str = "ada",
    password: str = "x",  # noqa: S107 -- a wrong one
    source: str = PROXY,
) -> bytes:
    """The tagged answer to an IMAP login behind *preface*; empty where there is none."""
    said = await talk(
        house, preface + f"a LOGIN {name} {password}\r\n".encode(), source, _is_tagged
    )
    return said[-1] if said and _is_tagged(said[-1]) else b""


async def first_words(house: Premises, preface: bytes, source: str = PROXY) -> bytes:
    """What the IMAP door says to whoever begins with *preface*; empty where it closes."""
    said = await talk(house, preface, source, bool)
    return said[0] if said else b""


async def talk(
    house: Premises, octets: bytes, source: str, is_last: Callable[[bytes], bool]
) -> list[bytes]:
    """The lines that the IMAP door says, up to one that is the last."""
    said: list[bytes] = []
    try:
        reader, writer = await house.connect(source=source)
        writer.write(octets)
        async with asyncio.timeout(5):
            while answer := await reader.readline():
                said.append(answer)
                if is_last(answer):
                    break
        writer.close()
    except ConnectionError:
        pass
    return said


def _is_tagged(answer: bytes) -> bool:
    return answer.startswith(b"a ")
