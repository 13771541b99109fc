"""sievelib as a program: puts a script, makes it active, fetches it, and removes it.

Takes host, port, the kind of TLS and a login; the password and the script come on standard input.
Whom to trust is in SSL_CERT_FILE. Its last word is "in", or what it was told instead.
"""

from __future__ import annotations

import sys
import warnings

from sievelib.managesieve import Client, Error  # type: ignore[import-untyped]  # it has no types


def main(host: str, port: str, tls: str, login: str) -> str:
    password, _, script = sys.stdin.read().partition("\n")
    warnings.simplefilter("ignore")  # it warns of every connection without TLS
    client = Client(host, int(port))
    try:
        is_in = client.connect(login, password, starttls=tls == "starttls", ssl=tls == "implicit")
        if not is_in:
            return f"refused ({client.errcode.decode()}) {client.errmsg.decode()}"
        assert client.putscript("holidays", script)
        assert client.setactive("holidays")
        assert client.listscripts() == ("holidays", [])
        assert client.getscript("holidays") == script.rstrip("\n")
        assert not client.putscript("broken", 'if "nonsense {')
        assert client.havespace("holidays", 1_000)
        assert client.setactive("")
        assert client.deletescript("holidays")
        client.logout()
    except (Error, OSError) as error:
        return f"failed: {error}"
    return "in"


if __name__ == "__main__":
    sys.stdout.write(main(*sys.argv[1:]))
