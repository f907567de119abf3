"""AWS target groups: what a load balancer thinks of each pod's address. Reads only."""
