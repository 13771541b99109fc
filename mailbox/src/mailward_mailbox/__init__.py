"""A mail server of our own behind the port: accounts, their mail, and sessions in this process."""
