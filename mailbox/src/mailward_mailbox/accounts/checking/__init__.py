"""The order of password checks, and what a check must not tell."""
