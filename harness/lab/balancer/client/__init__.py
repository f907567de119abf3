"""A client's side of the balancer: its connection, and the attempts of each request at one target after another."""
