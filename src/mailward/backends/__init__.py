"""Who knows the passwords and holds the mail."""
