"""Everybody's mail: one file for each account, and one object for it while anybody uses it."""
