"""A client's side of the balancer: its connection, and the way of each request from target to target."""
