"""ManageSieve after login: an account's scripts, and which of them is active."""
