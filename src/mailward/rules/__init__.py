"""What is an attempt, what counts, what follows. Pure."""
