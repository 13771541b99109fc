"""Bytes to events and back. Knows no ban, no store, no clock, no socket."""
