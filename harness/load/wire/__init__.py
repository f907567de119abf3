"""One hit on one connection, over HTTP/1.1 or HTTP/2: send it, read the response, say how it ended."""
