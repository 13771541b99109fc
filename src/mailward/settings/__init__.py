"""Text to flat keys to a policy and doors. Pure."""
