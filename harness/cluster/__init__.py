"""The Kubernetes side: the client, the watches, how far a rollout is, and the one change that we make."""
