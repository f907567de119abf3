"""A small Kubernetes cluster in plain processes: an API server, controllers, a kubelet and a load balancer."""
