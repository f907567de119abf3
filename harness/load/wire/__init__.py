"""One hit on one connection, over HTTP/1.1 or HTTP/2: send the request, read the response, report how it ended."""
