"""The load: a fixed number of slots, spread over worker processes, each hit one row. Never sends a request twice."""
