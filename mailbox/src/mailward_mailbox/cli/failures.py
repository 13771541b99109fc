"""How a command fails."""


class FailedError(Exception):
    """The command was not done; the message says why."""
