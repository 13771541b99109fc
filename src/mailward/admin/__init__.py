"""Who looks after the guard: the management API."""
