"""Stands where a real cluster would: an API server, controllers, a kubelet and a balancer in plain processes."""
