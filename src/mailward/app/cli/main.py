"""``mailward``: reads the command line and starts what it asks for."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence

from mailward.app.cli.failures import FailedError
from mailward.app.cli.grammar import make_parser, parse
from mailward.app.cli.output import shown

EXIT_INTERRUPTED = 130  # as a shell has it: 128 and SIGINT


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
    parser = make_parser()
    words = sys.argv[1:] if argv is None else argv
    for word in words:
        if not _is_text(word):
            parser.error(f"{word!r} is no UTF-8 text")
    options = parse(parser, words)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except FailedError as error:
        for line in error.lines:
            print(shown(line), file=sys.stderr)
        print(f"mailward: {shown(str(error))}", file=sys.stderr)
        return error.status
    except BrokenPipeError:
        # Who reads our output has seen enough. Nothing may be said of it at the end, either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return status


def _is_text(word: str) -> bool:
    """Whether the octets that were typed could be decoded."""
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
