"""What balancers say when a pod fails them: who they are, and what their answers mean."""
