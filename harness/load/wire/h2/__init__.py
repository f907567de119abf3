"""HTTP/2 (RFC 9113): frames, header blocks and a connection's state without a socket, and the slots' connections."""
