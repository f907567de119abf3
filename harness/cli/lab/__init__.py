"""Commands that run on the embedded lab, and what there is to run on it."""
