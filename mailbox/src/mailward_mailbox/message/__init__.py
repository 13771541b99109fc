"""What is in a message, read from its octets, however broken they are: pure, in bounded time."""
