"""SEARCH: keys, their evaluation in bounded steps, and the responses (RFC 9051 section 6.4.4)."""
