"""The Kubernetes side: what is there, what changes, and the one change that we make."""
