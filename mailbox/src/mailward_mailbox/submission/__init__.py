"""Submission after login: what is sent is taken, and delivered before that is said."""
