"""Who has an account, and who may use it."""
