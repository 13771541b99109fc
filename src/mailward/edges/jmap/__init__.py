"""JMAP: HTTP requests, each screened and proven by itself, then passed on."""
