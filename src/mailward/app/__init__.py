"""The roof: chooses, connects, and alone reads files, environment and the real clock."""
