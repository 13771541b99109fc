"""HTTP/1.1 as far as a door has to understand it: heads and framing, never what a body says."""
