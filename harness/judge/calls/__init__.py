"""gRPC calls: to which pods they went, how the server ended connections, and what mends it."""
