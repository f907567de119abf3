"""What fields the kinds of Kubernetes have, how lists of them merge, and which manager owns which field."""
