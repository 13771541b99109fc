"""Supervises the program of the tests, as a daemon would; run as a script, to be killed."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path

from mailward.app.mailbox.supervisor import Supervisor

PROGRAM = Path(__file__).with_name("program.py")

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    asyncio.run(Supervisor([sys.executable, str(PROGRAM), "serves"], "{}").run())
