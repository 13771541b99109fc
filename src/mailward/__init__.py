"""mailward: brute-force protection built into a mail server's front door."""

VERSION = "0.1.0"
