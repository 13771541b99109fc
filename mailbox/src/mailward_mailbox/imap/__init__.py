"""IMAP after login: the commands are pymap's, the mail is ours."""
