"""Many runs: which there are, how they went, and how that changed from night to night. Nothing here judges a run."""
