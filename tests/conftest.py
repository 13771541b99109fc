"""What all tests need of the process that they run in."""

from __future__ import annotations

import signal

# A shell starts what it runs in the background with SIGINT ignored, and programs inherit that; the
# ones that tests start are ended by it, as at a terminal.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
