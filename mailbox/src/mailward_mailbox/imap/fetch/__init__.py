"""FETCH: what is asked for, and its rendering from parsed messages (RFC 9051 section 6.4.5)."""
