"""The lab's load balancer, a process of its own: `python -m harness.lab.balancer`."""
