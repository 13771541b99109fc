"""The process: sockets, logins, and a session of each connection that has logged in."""
