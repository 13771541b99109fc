"""A message on its way: whose it is, what the recipient's script says, into which mailbox."""
