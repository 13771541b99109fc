"""Messages that several tests look into."""

from __future__ import annotations


def lines(*each: str) -> bytes:
    return "\r\n".join(each).encode()


FORWARDED = lines(
    *("Content-Type: multipart/mixed; boundary=out", "", "preamble", "--out"),
    *("Content-Type: text/plain", "", "one", "two", "--out"),
    *("Content-Type: message/rfc822", "", "Subject: inner"),
    *("Content-Type: multipart/alternative; boundary=in", "", "--in", "", "plain"),
    *("--in", "Content-Type: text/html", "", "<b>", "", "--in--", "epilogue", "--out--", "end", ""),
)
