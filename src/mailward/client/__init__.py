"""For programs that share the guard: what they saw goes to the daemon, who is banned comes back.

Standard library only, and nothing of the house: it runs inside other people's servers.
"""
