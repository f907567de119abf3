"""gRPC before the load: what a method's messages are, the request as bytes, and whether the server is healthy."""
