"""IMAP as the RFCs have it: groups of commands, and what each server has to answer."""
