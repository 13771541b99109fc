"""What is printed from the grammar besides --help: the man page, and completion for shells."""
