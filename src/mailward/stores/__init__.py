"""Where failures, bans and settings are kept."""
