"""Messages whose structure, addresses and texts are known."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType


def _octets(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode("latin-1")


_PLAIN = """\
Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)
From: Terry Gray <gray@cac.washington.example>
Subject: IMAP4rev2 WG mtg summary and minutes
To: imap@cac.washington.example
Cc: minutes@cnri.reston.example, John Klensin <KLENSIN@mit.example>
Message-Id: <B27397-0100000@cac.washington.example>
MIME-Version: 1.0
Content-Type: TEXT/PLAIN; CHARSET=US-ASCII

The minutes follow.
They are short, and xyzzy stands in them.
"""
_OTHER = """\
Date: Mon, 7 Feb 1994 21:52:25 -0800 (PST)
From: "Fred Foobar" <foobar@blurdybloop.example>
Subject: afternoon meeting
To: mooch@owatagu.siam.edu.example
Message-Id: <B27397-0100001@blurdybloop.example>

Hello Joe, do you think we can meet at 3:30 tomorrow?
"""
_THIRD = """\
Date: Tue, 8 Feb 1994 10:00:00 +0000
From: joe@owatagu.siam.edu.example
Subject: Re: afternoon meeting
To: foobar@blurdybloop.example
In-Reply-To: <B27397-0100001@blurdybloop.example>
X-Label:
X-Mailer: mooch 2.0

Yes.
"""
_HEADERS = """\
Received: from a.example by b.example; Tue, 8 Feb 1994 10:00:00 +0000
Received: from c.example by a.example; Tue, 8 Feb 1994 09:00:00 +0000
From: one@example
Subject: a subject that
 is folded
X-Empty:
to: two@example

body
"""
_ADDRESSES = """\
Date: long ago
From: "Smith, John \\"Jack\\"" <john@a.example>, =?utf-8?q?J=C3=B6rg?= <joerg@b.example>
Sender: list@c.example
Reply-To: <reply@d.example>
To: A Group: one@a.example, Two <two@b.example>;, undisclosed-recipients:;
Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=
Bcc:

body
"""
_BARE = """\
Subject: little

body
"""
_MULTIPART = """\
From: a@example
Subject: mixed
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=-one"

This is a preamble.
--=-one
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable
Content-Language: en, de

Gr=C3=BC=C3=9Fe

--=-one
Content-Type: application/octet-stream; name="a.bin"
Content-Transfer-Encoding: base64
Content-ID: <part@example>
Content-Description: some octets
Content-Disposition: attachment; filename="a.bin"

AAECAwQFBgcICQ==
--=-one--
The epilogue.
"""
_ALTERNATIVE = """\
From: a@example
Subject: alternative
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: multipart/alternative; boundary=inner

--inner

plain
--inner
Content-Type: text/html

<p>html</p>
--inner--

--outer
Content-Type: image/png
Content-Transfer-Encoding: base64

aW1hZ2U=
--outer--
"""
_FORWARDED = """\
From: a@example
Subject: forwarded
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=outer

--outer
Content-Type: text/plain

see below
--outer
Content-Type: message/rfc822

From: b@example
Subject: inside
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=inner

--inner
Content-Type: text/plain

first inside
--inner
Content-Type: text/html

<b>second inside</b>
--inner--

--outer--
"""
_UNKNOWN = """\
From: a@example
Subject: unknown encoding
MIME-Version: 1.0
Content-Type: text/plain; charset=x-nowhere
Content-Transfer-Encoding: x-rot13

uryyb
"""
_EIGHT_BIT = """\
From: a@example
Subject: eight bits
MIME-Version: 1.0
Content-Type: text/plain; charset=iso-8859-1
Content-Transfer-Encoding: 8bit

caf\xe9
"""

_COMMENTS = """\
Date: Tue, 8 Feb 1994 10:00:00 +0000
From: carol@c.example (Carol Commented)
To: <spaced (a comment)@ (another) d.example>
Cc: <@route.example:user@e.example>
Subject: comments

body
"""
_NIL = """\
Subject: nil and nothing else

nil
"""
_LATE = """\
Date: Sat, 24 Mar 2007 23:30:00 -0200
Subject: late

body
"""
_DIGEST_HEAD = """\
From: sub@d.example
Subject: a digest
Content-Type: multipart/digest; boundary="foo"

"""
_DIGEST = (
    "From: a@example\nMIME-Version: 1.0\nContent-Type: message/rfc822\n\n"
    + _DIGEST_HEAD
    + "--foo \n\nSubject: first\n\nfirst body\n--foo\nX-Mime: of the second\n\n"
    + "Subject: second\n\nsecond body\n--foo--\n"
)
_FOLDED_BOUNDARY = """\
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="foo
 bar"

--foo bar
Content-Type: text/x-own; charset=us-ascii

hello
--foo bar--
"""
_INNER = _FORWARDED.partition("message/rfc822\n\n")[2].removesuffix("\n--outer--\n")
"""The message that is forwarded, without the line end of the boundary behind it."""
_PIECES = {
    "line-end": "\n",
    "other-text": "Hello Joe, do you think we can meet at 3:30 tomorrow?\n",
    "other-subject": "Subject: afternoon meeting\n\n",
    "headers-head": _HEADERS.partition("\n\n")[0] + "\n\n",
    "headers-subject": "Subject: a subject that\n is folded\n\n",
    "headers-three": "From: one@example\nX-Empty:\nto: two@example\n\n",
    "headers-received": "".join(_HEADERS.splitlines(keepends=True)[:2]) + "\n",
    "multipart-text": "Gr=C3=BC=C3=9Fe\n",
    "multipart-subject": "Subject: mixed\n\n",
    "multipart-mime": "\n".join(_MULTIPART.splitlines()[14:19]) + "\n\n",
    "alternative-mime": "Content-Type: text/html\n\n",
    "forwarded-inner": _INNER,
    "forwarded-inner-head": _INNER.partition("\n\n")[0] + "\n\n",
    "forwarded-inner-text": _INNER.partition("\n\n")[2],
    "forwarded-inner-subject": "Subject: inside\n\n",
    "forwarded-inner-mime": "Content-Type: text/plain\n\n",
    "unknown-text": "uryyb\n",
    "comments": _COMMENTS,
    "nil": _NIL,
    "late": _LATE,
    "digest": _DIGEST,
    "digest-head": _DIGEST_HEAD,
    "digest-mime": "X-Mime: of the second\n\n",
    "digest-first-head": "Subject: first\n\n",
    "folded-boundary": _FOLDED_BOUNDARY,
    "word-meeting": "meeting",
    "word-xyzzy": "xyzzy",
    "word-inbox": "INBOX",
    "nothing": "",
}

LETTERS: Mapping[str, bytes] = MappingProxyType(
    {
        "plain": _octets(_PLAIN),
        "other": _octets(_OTHER),
        "third": _octets(_THIRD),
        "headers": _octets(_HEADERS),
        "addresses": _octets(_ADDRESSES),
        "bare": _octets(_BARE),
        "multipart": _octets(_MULTIPART),
        "alternative": _octets(_ALTERNATIVE),
        "forwarded": _octets(_FORWARDED),
        "unknown": _octets(_UNKNOWN),
        "eight-bit": _octets(_EIGHT_BIT),
        "no-header": b"\r\nbody",
        "ten-octets": bytes(range(10)),
        "four-octets": bytes(range(3, 7)),
        "first-octets": bytes(range(4)),
        "last-octets": bytes(range(8, 10)),
        "multipart-decoded": "Grüße\r\n".encode(),
        "zero-text": b"\0\1\0\r\n",
        "zero": b"Subject: zero\r\nContent-Transfer-Encoding: binary\r\n\r\n\0\1\0\r\n",
        "digest-first": b"Subject: first\r\n\r\nfirst body",
        **{name: _octets(text) for name, text in _PIECES.items()},
    }
)
