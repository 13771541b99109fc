"""The command line of ``mailward-mailbox``."""
