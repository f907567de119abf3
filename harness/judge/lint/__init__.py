"""What a manifest alone says about rollouts, and what a run says to that."""
