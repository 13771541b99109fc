"""JMAP over the accounts' mail (RFC 8620, RFC 8621): small, and whole in what it does."""
