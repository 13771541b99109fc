"""Connections: places and turns before the login, the login, and a session for each."""
