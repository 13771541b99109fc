"""Sieve (RFC 5228): reads a script, and says what it makes of a message. No I/O, bounded effort."""
