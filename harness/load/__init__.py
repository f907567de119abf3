"""The load: a fixed number of slots, spread over worker processes. Each hit is one row. No request is sent twice."""
