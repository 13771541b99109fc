"""The command line. It talks to the management API and imports nothing heavy."""
