"""The balancer's access log, in its family's own format."""
