"""What the tests of the mailbox share, and those that need one."""
