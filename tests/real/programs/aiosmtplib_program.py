"""Sends messages with aiosmtplib: a program of its own, for an interpreter that has aiosmtplib.

It reads a JSON object from standard input (``port``, ``is_implicit``, ``name``, ``password``,
``recipients``, ``messages``; ``authority``: a file, or null without TLS) and prints the answer to
each message, or the code and the text of a refusal.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aiosmtplib import SMTP, SMTPResponseException


async def send(where: dict[str, Any]) -> list[Any]:
    client = SMTP(
        hostname="localhost",
        port=where["port"],
        username=where["name"],
        password=where["password"],
        use_tls=where["is_implicit"],
        cert_bundle=where["authority"],
    )
    try:
        async with client:
            sender = f"{where['name']}@localhost"
            return [
                (await client.sendmail(sender, where["recipients"], message))[0]
                for message in where["messages"]
            ]
    except SMTPResponseException as refusal:
        return [refusal.code, refusal.message]


if __name__ == "__main__":
    json.dump(asyncio.run(send(json.load(sys.stdin))), sys.stdout)
