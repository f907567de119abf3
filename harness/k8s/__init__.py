"""What several parts know of Kubernetes: pure, without a client, and each rule once."""
