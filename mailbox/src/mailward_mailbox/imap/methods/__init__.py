"""IMAP's commands after login, by what they are about.

Each is a coroutine of a :class:`~mailward_mailbox.imap.state.SessionState` and the words behind the
command's name. It writes its untagged responses and returns what stands behind ``OK``: a response
code and a text, or nothing for the usual text.
"""
