"""Each objective, what was observed of it, and what that makes of the run."""
