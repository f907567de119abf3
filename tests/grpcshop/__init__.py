"""A gRPC server of grpcio's, for tests: in a process here (`running`), or in a pod (`server`)."""
