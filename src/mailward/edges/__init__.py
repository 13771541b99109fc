"""Who asks the guard: the doors."""
