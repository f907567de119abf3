"""What kube-controller-manager and the scheduler do: one module per control loop, decisions in pure functions."""
