"""What chance does to a few rollouts: tests, intervals, and how many it takes. Pure; it knows nothing of runs."""
