"""``python -m mailward_mailbox``: as ``mailward-mailbox``."""

import sys

from mailward_mailbox.cli.main import main

sys.exit(main())
