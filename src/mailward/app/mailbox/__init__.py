"""The built-in mail server, as a process of its own that the daemon starts and looks after."""
