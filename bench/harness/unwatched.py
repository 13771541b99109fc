"""``mailward serve`` whose IMAP sessions are not read after login, to measure what reading costs.

python bench/harness/unwatched.py serve ...

For figures alone: whoever is logged in there can log in again, and nobody counts it.
"""

from __future__ import annotations

import sys

from mailward.app.cli.main import main
from mailward.backends import upstream

if __name__ == "__main__":
    vars(upstream)["imap_watch"] = lambda _: None
    sys.exit(main(sys.argv[1:]))
